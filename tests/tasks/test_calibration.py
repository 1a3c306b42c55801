"""Temperature and thresholds, fitted to validation data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.errors import ArgumentError
from visiontasks.metrics.calibration import CalibrationError, fit_temperature
from visiontasks.metrics.thresholds import best_f1_thresholds
from visiontasks.tasks.averaging import average_logits

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}


def scripted_logits(pixels: Tensor) -> Tensor:
    """Logits of -10 to 10 from pixels of 0 to 1."""
    return 20 * pixels - 10


class Scripted(ClassificationTask):
    """Reads its logits off the first pixel of an image; they are 8 times as sure as they should be."""

    def forward(self, images: Tensor) -> Tensor:
        return 8 * scripted_logits(images[..., 0, 0]) + 0 * self.head.linear.bias


def scripted_batches(several: bool = False) -> list[ClassificationBatch]:
    """Draw labels from the probabilities of the logits before they were made surer."""
    pixels = torch.randn(300, 3, 1, 1) / 20 + 0.5
    logits = scripted_logits(pixels[..., 0, 0])
    labels = logits.sigmoid().bernoulli().to(torch.uint8) if several else logits.softmax(1).multinomial(1)[:, 0]
    parts = torch.arange(300).split(70)
    return [ClassificationBatch(pixels[part], labels[part], part) for part in parts]


def everything(batches: list[ClassificationBatch]) -> tuple[Tensor, Tensor]:
    logits = torch.cat([8 * scripted_logits(batch.images[..., 0, 0]) for batch in batches])
    return logits, torch.cat([batch.labels for batch in batches])


def test_a_fit_leaves_a_temperature_that_calibrates(fit: Callable[..., Trainer], tmp_path: Path) -> None:
    batches = scripted_batches()
    task = Scripted(3, calibrate=True, normalization="unit", backbone_options=SMALL)
    trainer = fit(task, batches, max_epochs=2)
    logits, labels = everything(batches)
    expected = fit_temperature(logits, labels)
    assert task.decision.temperature.item() == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(8, rel=0.2)
    in_the_fit = dict(trainer.callback_metrics)
    assert in_the_fit["val/temperature"].item() == pytest.approx(expected, rel=1e-4)

    trainer.save_checkpoint(tmp_path / "calibrated.ckpt")
    loaded = Scripted.load_from_checkpoint(tmp_path / "calibrated.ckpt")
    assert torch.equal(loaded.decision.temperature, task.decision.temperature)
    loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list
    (found,) = trainer.validate(loaded, loader, verbose=False)
    # The validations of the fit are without it; loss and accuracy do not know it.
    for error, probabilities in (
        (in_the_fit["val/calibration_error"], logits.softmax(1)),
        (found["val/calibration_error"], (logits / expected).softmax(1)),
    ):
        metric = CalibrationError()
        metric.update(probabilities, labels)
        assert float(error) == pytest.approx(metric.compute().item(), abs=1e-4)
    assert found["val/calibration_error"] < 0.1 < 0.2 < in_the_fit["val/calibration_error"]
    assert found["val/loss"] == pytest.approx(in_the_fit["val/loss"].item())
    assert found["val/accuracy"] == in_the_fit["val/accuracy"]


@pytest.mark.parametrize("calibrate", [False, True])
def test_a_fit_leaves_thresholds_of_the_best_f1(calibrate: bool, fit: Callable[..., Trainer], tmp_path: Path) -> None:
    batches = scripted_batches(several=True)
    options: dict[str, Any] = {"mode": "multilabel", "normalization": "unit", "backbone_options": SMALL}
    task = Scripted(3, ["a", "b", "c"], thresholds="best_f1", calibrate=calibrate, **options)
    trainer = fit(task, batches, max_epochs=1)
    logits, labels = everything(batches)
    expected = best_f1_thresholds((logits / task.decision.temperature).sigmoid(), labels)
    torch.testing.assert_close(task.decision.thresholds, expected)
    assert (task.decision.temperature != 1) == calibrate
    in_the_fit = dict(trainer.callback_metrics)
    assert in_the_fit["val/threshold/b"] == task.decision.thresholds[1]

    trainer.save_checkpoint(tmp_path / "fitted.ckpt")
    loaded = Scripted.load_from_checkpoint(tmp_path / "fitted.ckpt")
    assert torch.equal(loaded.decision.thresholds, task.decision.thresholds)
    loader: DataLoader[Any] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list
    (found,) = trainer.validate(loaded, loader, verbose=False)
    assert found["val/f1"] > in_the_fit["val/f1"]
    # What is given anew wins over the checkpoint.
    other = Scripted.load_from_checkpoint(tmp_path / "fitted.ckpt", thresholds=[0.1, 0.2, 0.3])
    assert other.decision.thresholds.tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_the_auxiliary_classifiers_have_no_part_in_it() -> None:
    task = ClassificationTask(3, backbone="googlenet-small", auxiliary_weight=0.3, calibrate=True)
    outputs = torch.randn(5, 3, 3)
    assert torch.equal(task.class_logits(outputs), outputs[:, 0])
    task.decision.temperature.fill_(2)
    torch.testing.assert_close(task.predict(outputs).probabilities, (outputs[:, 0] / 2).softmax(1))


def test_the_temperature_of_earlier_weights_does_not_outlive_them(fit: Callable[..., Trainer]) -> None:
    batches = scripted_batches()
    task = Scripted(3, normalization="unit", backbone_options=SMALL)
    task.decision.temperature.fill_(3)
    fit(task, batches, max_epochs=1)
    assert task.decision.temperature == 1


def test_a_sanity_check_fits_nothing(make_trainer: Callable[..., Trainer]) -> None:
    task = Scripted(3, calibrate=True, normalization="unit", backbone_options=SMALL)
    seen = []

    class Watching(Scripted):
        def on_train_start(self) -> None:
            super().on_train_start()
            seen.append(self.decision.temperature.item())

    task = Watching(3, calibrate=True, normalization="unit", backbone_options=SMALL)
    loader: DataLoader[Any] = DataLoader(scripted_batches(), batch_size=None)  # type: ignore[arg-type]  # a list
    make_trainer(max_epochs=1, num_sanity_val_steps=2).fit(task, loader, loader)
    assert seen == [1.0]
    assert task.decision.temperature != 1


def test_without_validation_data_there_is_nothing_to_fit_to(make_trainer: Callable[..., Trainer]) -> None:
    loader: DataLoader[Any] = DataLoader(scripted_batches(True), batch_size=None)  # type: ignore[arg-type]  # a list
    task = Scripted(3, mode="multilabel", thresholds="best_f1", calibrate=True, backbone_options=SMALL)
    with pytest.raises(ArgumentError, match="temperature and thresholds would be fitted to validation data, and there"):
        make_trainer(max_epochs=1, limit_val_batches=0).fit(task, loader, loader)


@pytest.mark.parametrize("flips", ["none", "horizontal"])
def test_it_is_fitted_to_the_views_that_predictions_average(
    flips: Literal["none", "horizontal"], fit: Callable[..., Trainer]
) -> None:
    pixels = torch.randn(200, 3, 1, 2) / 20 + 0.5
    labels = scripted_logits(pixels[..., 0, 0]).softmax(1).multinomial(1)[:, 0]
    batch = ClassificationBatch(pixels, labels, torch.arange(200))
    task = Scripted(3, calibrate=True, normalization="unit", backbone_options=SMALL, test_time_flips=flips)
    fit(task, [batch], max_epochs=1)
    left, right = (8 * scripted_logits(pixels[..., 0, side]) for side in (0, 1))
    seen = [left] if flips == "none" else [left, right]
    expected = fit_temperature(average_logits(seen, softmax=True), labels)
    assert task.decision.temperature.item() == pytest.approx(expected, rel=1e-4)
