"""Every task starts from a file of weights as timm and others save it, by two flags."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from visiontasks.cli import main

TASKS = {
    "ClassificationTask": "classification",
    "LocalizationTask": "localization",
    "DetectionTask": "detection",
    "SegmentationTask": "segmentation",
    "AutoencodingTask": "classification",
}
SMALL = (
    "--data.train_size 4 --data.val_size 2 --data.test_size 2 --data.batch_size 2 --data.image_size [64,64] "
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false "
    "--trainer.max_epochs 1 --trainer.num_sanity_val_steps 0 --trainer.precision 32-true --report false"
)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_starts_from_a_file_of_weights_by_two_flags(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    state = timm.create_model("test_efficientnet").state_dict()
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 9}, "weights.pth")
    weights = "--model.backbone timm/test_efficientnet --model.backbone_weights weights.pth --model.freeze all"
    numbers = '--model.normalization {"mean":[0.48,0.46,0.41],"std":[0.27,0.26,0.28]}'
    command = f"fit --model {task} --data.task {TASKS[task]} {weights} {numbers} {SMALL}"
    with caplog.at_level("INFO"):
        assert main(command.split()) == 0
    assert (
        "tensors (arrays of numbers) are from 'weights.pth', where their names begin with 'state_dict.module.'."
        in caplog.text
    )
    (file,) = tmp_path.glob("runs/**/last.ckpt")
    saved: dict[str, Any] = torch.load(file, weights_only=True)
    assert saved["visiontasks"]["normalization"] == {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
    ours = {key: value for key, value in saved["state_dict"].items() if key.startswith("backbone.")}
    assert ours
    assert all(torch.equal(value, state[key.removeprefix("backbone.model.")]) for key, value in ours.items())
