"""``visiontasks export``; the run-time checks of jaxtyping, which tracing does not see through, are off here."""

import re
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.cli import main

pytestmark = pytest.mark.unchecked


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a checkpoint, and nothing else, into the folder that is worked in."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    task = ClassificationTask(2, ["cat", "dog"], image_size=(24, 32), backbone_options={"filters": [4], "depth": 1})
    batch = ClassificationBatch(torch.zeros(2, 3, 24, 32, dtype=torch.uint8), torch.arange(2), torch.arange(2))
    loader: DataLoader[Any] = DataLoader([batch], batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    quiet: dict[str, Any] = dict.fromkeys(
        ["enable_checkpointing", "enable_progress_bar", "enable_model_summary"], False
    )
    trainer = Trainer(max_epochs=1, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    trainer.fit(task, loader, loader)
    trainer.save_checkpoint(folder / "best.ckpt")
    return folder / "best.ckpt"


def test_a_checkpoint_alone_becomes_a_file_that_runs(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "best.ckpt"]) == 0
    assert sorted(file.name for file in checkpoint.parent.iterdir()) == ["best.ckpt", "best.onnx"]
    said = capsys.readouterr().out
    assert "takes images: uint8 [batch, 3, 24, 32]" in said
    assert "gives probabilities, labels, scores" in said
    assert re.search(r"^largest differences from the checkpoint: probabilities \S+, labels 0, scores \S+$", said, re.M)
    images = torch.randint(256, (3, 3, 24, 32), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(checkpoint.with_suffix(".onnx"))
    probabilities, labels, _ = session.run(None, {"images": images.numpy()})
    task = ClassificationTask.load_from_checkpoint(checkpoint).eval()
    predictions = task.predict(task(images))
    torch.testing.assert_close(torch.from_numpy(probabilities), predictions.probabilities)
    assert labels.tolist() == predictions.labels.tolist()


def test_a_run_folder_is_read_once(checkpoint: Path, reads: list[str]) -> None:
    assert main(["export", str(checkpoint.parent)]) == 0
    assert reads == ["best.ckpt"]
    assert Path("best.onnx").is_file()


def test_size_form_and_images_are_flags(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--image_size", "16", "20", "-o", "a.pt2", "--images", "no_such_folder"]
    assert main(["export", str(checkpoint), *flags]) == 2
    assert "'no_such_folder' is not a file" in capsys.readouterr().err
    assert main(["export", str(checkpoint), "--image_size", "0", "20"]) == 2
    assert "image_size is (0, 20); expected pixels, at least 1" in capsys.readouterr().err
    assert main(["export", str(checkpoint), *flags[:5]]) == 0
    assert "uint8 [batch, 3, 16, 20]" in capsys.readouterr().out
    assert torch.export.load("a.pt2").module()(torch.zeros(1, 3, 16, 20, dtype=torch.uint8))[0].shape == (1, 2)


def test_a_file_that_is_no_checkpoint_is_named(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint.write_bytes(b"half")
    assert main(["export", "best.ckpt"]) == 2
    assert "'best.ckpt' is damaged" in capsys.readouterr().err
