"""What every run shows, how it is replaced, and how much of it is kept."""

from pathlib import Path

import pytest

from visiontasks.callbacks.confusion import ConfusionImages
from visiontasks.callbacks.per_class import PerClassTable
from visiontasks.callbacks.prediction_images import PredictionImages
from visiontasks.callbacks.wandb_run import WandbRun
from visiontasks.callbacks.worst_samples import WorstSamples
from visiontasks.cli import main
from visiontasks.cli.default_callbacks import default_callbacks

FIT = (
    "fit --data ShapesDataModule --data.train_size 4 --data.val_size 4 --data.image_size [16,16] --data.batch_size 4 "
    '--model.backbone_options {"filters":[4],"depth":1} --trainer.accelerator cpu --trainer.enable_progress_bar false'
)


class Own(ConfusionImages):
    """A user's kind of matrix."""


def test_a_callback_of_the_user_takes_the_place_of_its_kind() -> None:
    usual = [type(callback) for callback in default_callbacks([], {})]
    assert usual == [PredictionImages, ConfusionImages, WorstSamples, PerClassTable, WandbRun]
    left = [type(callback) for callback in default_callbacks([Own(), PredictionImages(0)], {})]
    assert left == [WorstSamples, PerClassTable, WandbRun]


def test_each_is_left_out_where_it_is_not_asked_for() -> None:
    assert [type(callback) for callback in default_callbacks([], {}, shown=[])] == [WandbRun]
    kept = [type(callback) for callback in default_callbacks([], {}, shown=["per_class", "confusion"])]
    assert kept == [PerClassTable, ConfusionImages, WandbRun]


def test_30_epochs_keep_the_pictures_of_22_validations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*FIT.split(), "--trainer.max_epochs", "30"]) == 0
    for name, suffix in {"predictions": "png", "confusion": "png", "worst": "png", "per_class": "csv"}.items():
        kept = {path.stem for path in (tmp_path / "runs" / "fit" / "version_0" / name).glob(f"*.{suffix}")}
        assert 20 <= len(kept) <= 22
        assert {"val_epoch_0", "val_epoch_29"} <= kept


def test_a_flag_keeps_the_pictures_of_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for keep, expected in (("all", 4), ("1", 3)):
        words = f"{FIT} --trainer.max_epochs 4 --keep_pictures {keep} --shown [confusion]"
        assert main([*words.split(), "--trainer.logger.name", keep]) == 0
        assert len(list((tmp_path / "runs" / keep).rglob("*.png"))) <= expected
    assert len(list((tmp_path / "runs" / "all").rglob("*.png"))) == 4
