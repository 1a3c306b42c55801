from pathlib import Path

import pytest
import torch

from visiontasks.errors import CheckpointError
from visiontasks.state_dicts import load_file, mismatches


def test_tensors_and_plain_values_come_back(tmp_path: Path) -> None:
    saved = {"a": torch.rand(3), "b": [1, "two"]}
    torch.save(saved, tmp_path / "file.pt")
    loaded = load_file(tmp_path / "file.pt")
    assert torch.equal(loaded["a"], saved["a"])  # type: ignore[arg-type]  # a tensor
    assert loaded["b"] == [1, "two"]


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256))])
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"file.pt' is damaged or no checkpoint \(\w+\)"):
        load_file(tmp_path / "file.pt")


def test_a_file_that_holds_objects_is_refused(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=r"file.pt' holds torch.nn.modules.linear.Linear beside tensors"):
        load_file(tmp_path / "file.pt")


def test_every_mismatch_is_listed() -> None:
    own = {"same": torch.zeros(2), "shape": torch.zeros(2, 3), "missing": torch.zeros(1)}
    loaded = {"same": torch.ones(2), "shape": torch.zeros(3, 2), "more": torch.zeros(1)}
    assert mismatches(own, loaded, "file", "model") == [
        "missing: not in the file",
        "more: not in the model",
        "shape: [3, 2] in the file, [2, 3] in the model",
    ]
    assert mismatches(own, own, "file", "model") == []
