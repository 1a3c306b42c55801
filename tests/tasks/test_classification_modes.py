"""Multilabel and binary classification, flips, and weights from the data."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader, TensorDataset

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}


def multilabel_batch(count: int = 8, classes: int = 3, size: tuple[int, int] = (9, 14)) -> ClassificationBatch:
    images = torch.randint(256, (count, 3, *size), dtype=torch.uint8)
    return ClassificationBatch(images, torch.randint(2, (count, classes), dtype=torch.uint8), torch.arange(count))


def binary_batch(count: int = 8) -> ClassificationBatch:
    images = torch.randint(256, (count, 3, 9, 14), dtype=torch.uint8)
    return ClassificationBatch(images, torch.arange(count) % 2, torch.arange(count))


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (3, {}),
        (1, {"pool": "max", "thresholds": 0.3}),
        (5, {"label_smoothing": 0.1, "class_weights": [1.0, 2.0, 1.0, 9.0, 0.1], "focal_gamma": 2.0}),
        (3, {"thresholds": "best_f1", "calibrate": True, "test_time_flips": "both"}),
        pytest.param(
            *(2, {"backbone": "googlenet-small", "backbone_options": None, "auxiliary_weight": 0.3}),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_multilabel_keeps_the_contract(classes: int, options: dict[str, Any]) -> None:
    size = (32, 32) if "auxiliary_weight" in options else (9, 14)
    task = ClassificationTask(classes, **{"mode": "multilabel", "backbone_options": SMALL, **options})
    check_task(task, multilabel_batch(5, classes, size))


@pytest.mark.parametrize(
    "options",
    [
        {"class_weights": [1.0, 5.0], "label_smoothing": 0.1, "thresholds": 0.2},
        {"focal_gamma": 1.5, "thresholds": "best_f1", "calibrate": True, "test_time_flips": "horizontal"},
    ],
)
def test_binary_keeps_the_contract(options: dict[str, Any]) -> None:
    check_task(ClassificationTask(2, mode="binary", backbone_options=SMALL, **options), binary_batch())


@pytest.mark.parametrize("options", [{"focal_gamma": 2.0}, {"calibrate": True, "test_time_flips": "vertical"}])
def test_one_class_per_image_keeps_the_contract_with_more(options: dict[str, Any]) -> None:
    check_task(ClassificationTask(2, backbone_options=SMALL, **options), binary_batch())


class Scripted(ClassificationTask):
    """Reads its logits off the first pixel of an image."""

    def forward(self, images: Tensor) -> Tensor:
        return 8 * images[..., 0, 0] - 4


def average_precision(scores: list[float], present: list[int]) -> float:
    ranked = sorted(zip(scores, present, strict=True), reverse=True)
    hits = [rank for rank, (_, y) in enumerate(ranked, 1) if y]
    return sum(number / rank for number, rank in enumerate(hits, 1)) / len(hits) if hits else math.nan


def decisions(said: list[int], present: list[int]) -> tuple[int, float]:
    right = sum(a and b for a, b in zip(said, present, strict=True))
    f1 = 2 * right / (sum(said) + sum(present)) if sum(said) + sum(present) else math.nan
    return sum(a == b for a, b in zip(said, present, strict=True)), f1


def calibration_error(probabilities: list[float], present: list[int], bins: int = 15) -> float:
    error = 0.0
    for index in range(bins):
        inside = [i for i, p in enumerate(probabilities) if index <= p * bins < index + 1]
        error += abs(sum(present[i] for i in inside) - sum(probabilities[i] for i in inside))
    return error / len(probabilities)


@pytest.mark.parametrize("stage", ["val", "test"])
@pytest.mark.parametrize("mode", ["multilabel", "binary"])
def test_metrics_are_what_their_definitions_say(
    mode: Any,  # noqa: ANN401 - one of the modes
    stage: str,
    make_trainer: Callable[..., Trainer],
) -> None:
    names = ["a", "b", "c"] if mode == "multilabel" else ["bad", "good"]
    count = 3 if mode == "multilabel" else 1
    thresholds = [0.5, 0.8, 0.99][:count] if mode == "multilabel" else 0.3
    task = Scripted(
        len(names), names, mode, thresholds, in_channels=count, normalization="unit", backbone_options=SMALL
    )
    images, present = torch.rand(41, count, 2, 2), torch.randint(2, (41, count), dtype=torch.uint8)
    if mode == "multilabel":
        present[:, 2] = 0
        images[:, 2] = 0
    labels = present if mode == "multilabel" else present[:, 0].long()
    everything = ClassificationBatch(images, labels, torch.arange(41))
    batches = [ClassificationBatch(*(field[start : start + 9] for field in everything)) for start in range(0, 41, 9)]
    trainer = make_trainer()
    evaluate = trainer.validate if stage == "val" else trainer.test
    (found,) = evaluate(task, DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]  # a list

    logits, right = 8 * images[..., 0, 0] - 4, 0
    probabilities = logits.sigmoid()
    precision: list[float] = []
    f1: list[float] = []
    for column in range(count):
        p, y = probabilities[:, column].tolist(), present[:, column].tolist()
        least = [0.5, 0.8, 0.99][column] if mode == "multilabel" else 0.3
        hits, value = decisions([int(value >= least) for value in p], y)
        right += hits
        f1.append(value)
        precision.append(average_precision(p, y))
    expected = {
        "accuracy": right / (41 * count),
        "f1": sum(f1[:2]) / len(f1[:2]),
        "map": sum(precision[:2]) / len(precision[:2]),
        "calibration_error": calibration_error(probabilities.flatten().tolist(), present.flatten().tolist()),
        "loss": sum(
            math.log1p(math.exp(-z if y else z))
            for z, y in zip(logits.flatten().tolist(), present.flatten().tolist(), strict=True)
        )
        / present.numel(),
    }
    if mode == "multilabel":
        expected |= {f"ap/{name}": value for name, value in zip(names, precision, strict=True)}
    assert found == pytest.approx({f"{stage}/{name}": value for name, value in expected.items()}, rel=1e-4, nan_ok=True)


@pytest.mark.parametrize("mode", ["multilabel", "binary"])
def test_one_batch_is_learnt_by_heart(mode: Any, fit: Callable[..., Trainer]) -> None:  # noqa: ANN401 - see above
    task = ClassificationTask(
        3 if mode == "multilabel" else 2,
        mode=mode,
        backbone_options={"filters": [8, 16], "depth": 1},
        optimizer=lambda p: Adam(p, lr=0.03),
        lr_scheduler="constant",
        warmup=0,
    )
    batch = multilabel_batch() if mode == "multilabel" else binary_batch()
    metrics = fit(task, [batch] * 100, max_epochs=1, limit_val_batches=1).callback_metrics
    assert metrics["val/f1"] == metrics["val/map"] == metrics["val/accuracy"] == 1
    assert metrics["val/loss"] < 0.05
    assert metrics["train/f1"] > 0.8


def test_a_plain_loader_of_several_labels_is_enough(make_trainer: Callable[..., Trainer]) -> None:
    images, labels, _ = multilabel_batch()
    loader = DataLoader(TensorDataset(images, labels.float()), batch_size=4)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(ClassificationTask(3, mode="multilabel", backbone_options=SMALL), loader, loader)
    assert trainer.callback_metrics["val/map"] > 0


def test_data_of_the_other_kind_name_the_mode(make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule(train_size=2, val_size=1, image_size=(16, 16))
    task = ClassificationTask(4, mode="multilabel", backbone_options=SMALL)
    with pytest.raises(ArgumentError, match=r"takes multilabel classification\. Use --model\.mode multiclass"):
        make_trainer(max_epochs=1).fit(task, datamodule=data)


@pytest.mark.parametrize("flips", ["horizontal", "vertical", "both"])
def test_flips_are_averaged_in_evaluation_and_prediction_only(flips: Any, fit: Callable[..., Trainer]) -> None:  # noqa: ANN401
    task = ClassificationTask(3, test_time_flips=flips, backbone_options=SMALL, warmup=1).eval()
    images = torch.randint(256, (4, 3, 9, 14), dtype=torch.uint8)
    dimensions = {"horizontal": [(), (3,)], "vertical": [(), (2,)], "both": [(), (3,), (2,), (2, 3)]}[flips]
    expected = torch.stack([task.predict(task(images.flip(d))).probabilities for d in dimensions]).mean(0)
    torch.testing.assert_close(task.predict(task.eval_forward(images)).probabilities, expected)
    torch.testing.assert_close(
        task.predict_step(ClassificationBatch(images, torch.arange(4) % 3, torch.arange(4)), 0).probabilities, expected
    )
    assert not torch.allclose(task.predict(task(images)).probabilities, expected, atol=1e-4)


def test_shifts_are_averaged_in_tests_and_not_in_the_validations_of_a_fit(make_trainer: Callable[..., Trainer]) -> None:
    task = ClassificationTask(4, test_time_shift=1, backbone_options=SMALL, warmup=1)
    images: list[int] = []
    task.backbone.register_forward_hook(lambda module, inputs, outputs: images.append(len(inputs[0])))
    data = ShapesDataModule(train_size=4, val_size=3, test_size=2, image_size=(16, 16), batch_size=4)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=data)
    assert images == [3, 4, 3]  # with the validation of the start
    images.clear()
    trainer.test(task, datamodule=data)
    assert images == [2] * 9


def test_balanced_weights_come_from_the_data_and_stay_in_the_checkpoint(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    data = ShapesDataModule(train_size=13, val_size=2, image_size=(16, 16), batch_size=5)
    task = ClassificationTask(4, class_weights="balanced", backbone_options=SMALL)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=data)
    counts = torch.bincount(data.train_set.labels, minlength=4)
    expected = 13 / (4 * counts)
    assert task.class_weights is not None
    torch.testing.assert_close(task.class_weights, expected)
    trainer.save_checkpoint(tmp_path / "balanced.ckpt")
    saved = torch.load(tmp_path / "balanced.ckpt", weights_only=True)["hyper_parameters"]["class_weights"]
    assert saved == pytest.approx(expected.tolist())
    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "balanced.ckpt").class_weights
    assert loaded is not None
    torch.testing.assert_close(loaded, expected)


def test_balanced_weights_need_data_that_are_counted(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    task = ClassificationTask(3, class_weights="balanced", backbone_options=SMALL)
    with pytest.raises(ArgumentError, match="'balanced' counts the classes of the training data, and there is no data"):
        fit(task, [batch], max_epochs=1)


def test_a_negative_gamma_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"focal_gamma is -1\.0; expected at least 0"):
        ClassificationTask(3, focal_gamma=-1.0)
