"""What classification offers beside one class per image, as a user types it."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.data.datamodules.image_sets import write_coco, write_folders
from visiontasks import ClassificationTask
from visiontasks.cli import main
from visiontasks.data.datasets.shapes import CLASS_NAMES

QUIET = (
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false "
    "--trainer.max_epochs 1 --model.backbone_options.filters [4,8] --model.backbone_options.depth 1"
)
SHAPES = (
    f"{QUIET} --data.train_size 24 --data.val_size 12 --data.test_size 8 --data.batch_size 8 --data.image_size [24,24]"
)
COCO = (
    f"{QUIET} --data COCODataModule --data.root coco --data.task classification --data.num_workers 0 "
    "--data.image_size [32,32] --data.batch_size 4"
)

MESSAGES = {
    COCO: "error: COCODataModule yields batches of multilabel classification, ClassificationTask takes classification. "
    "Use --model.mode multilabel.",
    f"{SHAPES} --model.mode multilabel": "error: ShapesDataModule yields batches of classification, ClassificationTask "
    "takes multilabel classification. Use --model.mode multiclass.",
    f"{SHAPES} --model.mode binary": "error: num_classes is 4; expected 2, the second of which is the positive one.",
    f"{SHAPES} --model.mode multilable": "error: --model.mode multilable: unknown. Did you mean 'multilabel'",
    f"{SHAPES} --model.thresholds "
    "0.3": "error: thresholds is 0.3, but mode 'multiclass' predicts the most probable class",
    f"{SHAPES} --model.class_weights [1,2]": "error: class_weights has 2 entries for num_classes=4; expected one per",
    f"{SHAPES} --model.mixup -1": "error: mixup is -1.0; expected its alpha, such as 0.2, or 0 for none.",
    f"{SHAPES} --model.focal_gamma -1": "error: focal_gamma is -1.0; expected at least 0.",
    f"{SHAPES} --model.test_time_flips left": "error: --model.test_time_flips left: unknown. ",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def fit(command: str, version: int = 0) -> dict[str, Any]:
    """Run ``fit`` and read the last checkpoint."""
    assert main(["fit", *command.split()]) == 0
    found: dict[str, Any] = torch.load(f"runs/fit/version_{version}/checkpoints/last.ckpt", weights_only=True)
    return found


def predict(capsys: pytest.CaptureFixture[str], *sources: str) -> list[dict[str, str]]:
    capsys.readouterr()
    assert main(["predict", "runs/fit/version_0/checkpoints/last.ckpt", *sources]) == 0
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


@pytest.mark.parametrize("command", MESSAGES)
def test_wrong_input_gives_one_readable_message(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco", 2)
    assert main(["fit", *command.split()]) == 2
    assert MESSAGES[command] in capsys.readouterr().err


def test_several_classes_from_fit_to_predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco")
    options = "--model.mode multilabel --model.thresholds best_f1 --model.calibrate true --model.class_weights balanced"
    checkpoint = fit(f"{COCO} {options}")
    printed = capsys.readouterr().out
    for name in ("train/f1", "val/map", "val/temperature"):
        assert name in printed
    assert re.search(r"^ *star( +[\d.]+){2,}$", printed, re.MULTILINE), printed
    assert checkpoint["hyper_parameters"]["mode"] == "multilabel"
    assert len(checkpoint["hyper_parameters"]["class_weights"]) == 4
    thresholds = checkpoint["state_dict"]["decision.thresholds"]
    assert "map" in next(Path("runs").rglob("epoch0*.ckpt")).name

    task = ClassificationTask.load_from_checkpoint("runs/fit/version_0/checkpoints/last.ckpt")
    rows = predict(capsys, "coco/val")
    assert len(rows) == 12
    for row in rows:
        names = row["class"].split(";") if row["class"] else []
        scores = [float(score) for score in row["score"].split(";") if score]
        assert len(names) == len(scores) == len([label for label in row["label"].split(";") if label])
        assert scores == sorted(scores, reverse=True)
        for name, score in zip(names, scores, strict=True):
            assert score >= thresholds[CLASS_NAMES.index(name)] - 1e-5
    assert task.class_names == list(CLASS_NAMES)
    scoring = "--data COCODataModule --data.root coco --data.task classification --data.num_workers 0"
    quiet = "--data.image_size [32,32] --trainer.enable_progress_bar false --trainer.accelerator cpu"
    last = "runs/fit/version_0/checkpoints/last.ckpt"
    assert main(["validate", "--ckpt_path", last, *f"{scoring} {quiet}".split()]) == 0
    assert "val/map" in capsys.readouterr().out
    # A threshold that is given wins over those of the checkpoint: every class is found everywhere.
    assert main(["test", "--ckpt_path", last, *f"{scoring} {quiet} --model.thresholds 0".split()]) == 0
    assert "test/f1" in capsys.readouterr().out


def test_one_of_two_classes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(folder / "folders")
    for name in CLASS_NAMES[2:]:
        for path in folder.glob(f"folders/*/{name}/*"):
            path.rename(path.parent.with_name("circle") / f"{name}_{path.name}")
        for path in folder.glob(f"folders/*/{name}"):
            path.rmdir()
    data = "--data FolderDataModule --data.root folders --data.num_workers 0 --data.image_size [32,32]"
    checkpoint = fit(f"{QUIET} {data} --data.batch_size 4 --model.mode binary --model.thresholds 0.25")
    assert checkpoint["state_dict"]["head.linear.bias"].shape == (1,)
    assert checkpoint["state_dict"]["decision.thresholds"].tolist() == [0.25]
    assert "val/map" in capsys.readouterr().out
    rows = predict(capsys, "folders/val")
    assert {row["class"] for row in rows} <= {"circle", "square"}
    for row in rows:
        assert (row["class"] == "square") == (float(row["score"]) >= 0.25 if row["label"] == "1" else False)


def test_mixing_smoothing_and_focal_loss(folder: Path) -> None:
    options = "--model.mixup 0.2 --model.cutmix 1 --model.label_smoothing 0.1 --model.focal_gamma 2"
    first, second = fit(f"{SHAPES} {options}"), fit(f"{SHAPES} {options}", version=1)
    for name, value in first["state_dict"].items():
        assert torch.equal(value, second["state_dict"][name]), name
    plain = fit(SHAPES, version=2)
    assert not torch.equal(plain["state_dict"]["head.linear.weight"], first["state_dict"]["head.linear.weight"])
    for name, value in {"mixup": 0.2, "cutmix": 1.0, "label_smoothing": 0.1, "focal_gamma": 2.0}.items():
        assert first["hyper_parameters"][name] == value


def test_calibration_and_its_diagram(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diagram = "--trainer.callbacks+=visiontasks.callbacks.reliability.ReliabilityDiagram"
    checkpoint = fit(f"{SHAPES} --model.calibrate true {diagram}")
    temperature = checkpoint["state_dict"]["decision.temperature"]
    assert temperature != 1
    assert "val/calibration_error" in capsys.readouterr().out
    assert Path("runs/fit/version_0/reliability/val_epoch_0.png").is_file()
    # Weights are those of a run that is not calibrated.
    plain = fit(SHAPES, version=1)
    assert plain["state_dict"].pop("decision.temperature") == 1
    for name, value in plain["state_dict"].items():
        assert torch.equal(value, checkpoint["state_dict"][name]), name


def test_balanced_weights_and_flips(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = fit(f"{SHAPES} --model.class_weights balanced --model.test_time_flips both")
    weights = checkpoint["hyper_parameters"]["class_weights"]
    assert sum(1 / weight for weight in weights) == pytest.approx(4, rel=1e-5)
    assert checkpoint["hyper_parameters"]["test_time_flips"] == "both"
    picture = next(folder.rglob("*.png"))
    assert predict(capsys, str(picture))[0]["class"] in CLASS_NAMES
