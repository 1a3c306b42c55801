import io
import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visiontasks.backbones.array_pickles import is_array_pickle, read_array_pickle
from visiontasks.errors import CheckpointError

ARRAYS = {
    "float": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": np.arange(3, dtype=">i4"),
    "half": np.ones(2, np.float16),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
    "scalar": np.array(7),
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_arrays_and_plain_values_are_read(protocol: int) -> None:
    content = {"model": OrderedDict(ARRAYS), "__author__": "someone", "number": np.float32(2.5), "list": (1, None)}
    file = io.BytesIO(pickle.dumps(content, protocol=protocol))
    assert is_array_pickle(file)
    found = read_array_pickle(file)
    for name, array in ARRAYS.items():
        value = found["model"][name]
        assert isinstance(value, torch.Tensor)
        assert value.shape == array.shape
        assert value.tolist() == array.tolist()
    assert (found["__author__"], found["number"], found["list"]) == ("someone", 2.5, [1, None])


def test_what_python_2_wrote_is_read() -> None:
    # Bytes of numbers are text there, as in Detectron2's files of MSRA's weights.
    array = (
        b"\x80\x02}q\x01U\x01wq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85q\x05"
        b"U\x01bq\x06\x87q\x07Rq\x08(K\x01K\x02\x85q\tcnumpy\ndtype\nq\nU\x02f4q\x0bK\x00K\x01\x87q\x0cRq\r"
        b"(K\x03U\x01<q\x0eNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x0fb\x89U\x08"
        + np.array([1.5, -200], np.float32).tobytes()
        + b"q\x10tq\x11bs."
    )
    assert read_array_pickle(io.BytesIO(array))["w"].tolist() == [1.5, -200]


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:  # noqa: ANN401 - as pickle has it
        return os.system, (f"touch {self.file}",)


class Evaluation:
    """Evaluates an expression when it is unpickled."""

    def __reduce__(self) -> Any:  # noqa: ANN401 - as pickle has it
        return eval, ("1 + 1",)


def test_a_command_is_refused_and_not_run(tmp_path: Path) -> None:
    for content in (Command(tmp_path / "run"), {"model": {"a": Command(tmp_path / "run")}}, [Evaluation()]):
        with pytest.raises(CheckpointError, match=r"GLOBAL (posix.system|builtins.eval)\), and was refused"):
            read_array_pickle(io.BytesIO(pickle.dumps(content)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "content",
    [
        np.array([object], dtype=object),
        np.array([None, "a"], dtype=object),
        np.array(["text"]),
        np.zeros(2, [("a", "f4")]),
        np.dtype("f4"),
        b"cnumpy\nload\n.",
        b"\x80\x02cnumpy.core.multiarray\nfromfile\n.",
        b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.",
        b"\x80\x02X\x01\x00\x00\x00aQ.",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
    ],
)
def test_anything_but_numbers_is_refused(content: object) -> None:
    written = content if isinstance(content, bytes) else pickle.dumps(content)
    with pytest.raises(CheckpointError, match="was refused"):
        read_array_pickle(io.BytesIO(written))


@pytest.mark.parametrize("length", [1, 20, 100])
def test_half_a_file_is_damaged(length: int) -> None:
    with pytest.raises(CheckpointError, match=r"is damaged|was refused"):
        read_array_pickle(io.BytesIO(pickle.dumps(ARRAYS)[:length]))


def test_other_files_are_none(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "new.pth")
    torch.save({"a": torch.ones(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for name in ("new.pth", "old.pth"):
        with (tmp_path / name).open("rb") as file:
            assert not is_array_pickle(file)
