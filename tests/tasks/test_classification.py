import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import SGD, Adam
from torch.utils.data import DataLoader, TensorDataset

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule
from visiontasks.errors import ArgumentError, NonFiniteLossError
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}


def random_batch(count: int, classes: int, channels: int = 3, size: tuple[int, int] = (9, 14)) -> ClassificationBatch:
    images = torch.randint(256, (count, channels, *size), dtype=torch.uint8)
    return ClassificationBatch(images, torch.arange(count) % classes, torch.arange(count))


@pytest.mark.parametrize(
    ("classes", "channels", "size", "options"),
    [
        (3, 3, (9, 14), {}),
        (2, 1, (8, 8), {"normalization": "unit", "pool": "max"}),
        (7, 2, (1, 1), {"backbone_options": {**SMALL, "norm": "none"}}),
        (
            2,
            5,
            (13, 31),
            {"dropout": 0.5, "label_smoothing": 0.1, "class_weights": [1.0, 2.0], "class_names": ["a", "b"]},
        ),
    ],
)
def test_the_contract_is_kept(classes: int, channels: int, size: tuple[int, int], options: dict[str, Any]) -> None:
    task = ClassificationTask(classes, in_channels=channels, **{"backbone_options": SMALL, **options})
    check_task(task, random_batch(5, classes, channels, size))


def cross_entropy_in_loops(logits: Tensor, labels: Tensor, weights: list[float], smoothing: float) -> float:
    total = 0.0
    classes = logits.shape[1]
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for other in range(classes):
            target = smoothing / classes + (1 - smoothing) * (other == label)
            total += weights[other] * target * (log_sum - row[other])
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 4.0]])
def test_the_loss_weighs_classes_and_smooths_labels(smoothing: float, weights: list[float] | None) -> None:
    task = ClassificationTask(3, label_smoothing=smoothing, class_weights=weights, backbone_options=SMALL)
    batch = random_batch(7, classes=3)
    logits = torch.randn(7, 3)
    expected = cross_entropy_in_loops(logits, batch.labels, weights or [1.0] * 3, smoothing)
    (loss,) = task.losses(logits, batch).values()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_the_weighted_loss_does_not_depend_on_how_images_fall_into_batches() -> None:
    task = ClassificationTask(3, class_weights=[1.0, 0.5, 4.0], backbone_options=SMALL)
    batch, logits = random_batch(6, classes=3), torch.randn(6, 3)
    parts = [
        task.losses(logits[part], ClassificationBatch(*(field[part] for field in batch)))["cross_entropy"]
        for part in (slice(0, 2), slice(2, 4), slice(4, 6))
    ]
    torch.testing.assert_close(torch.stack(parts).mean(), task.losses(logits, batch)["cross_entropy"])


def test_predictions_are_probabilities_and_the_most_probable_class() -> None:
    logits = torch.randn(5, 4)
    predictions = ClassificationTask(4, backbone_options=SMALL).predict(logits)
    for row, (probabilities, label, score) in zip(logits.tolist(), zip(*predictions, strict=True), strict=True):
        total = sum(math.exp(value) for value in row)
        assert probabilities.tolist() == pytest.approx([math.exp(value) / total for value in row], rel=1e-5)
        assert label == row.index(max(row))
        assert score == probabilities[label]


def test_outputs_are_float32_under_autocast() -> None:
    task = ClassificationTask(4, backbone_options=SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        assert task(random_batch(2, classes=4).images).dtype == torch.float32


def calibration_error_in_loops(logits: list[list[float]], labels: list[int], bins: int = 15) -> float:
    error = 0.0
    confidence = [max(math.exp(value) for value in row) / sum(math.exp(value) for value in row) for row in logits]
    right = [row.index(max(row)) == label for row, label in zip(logits, labels, strict=True)]
    for index in range(bins):
        inside = [i for i, value in enumerate(confidence) if index <= value * bins < index + 1]
        error += abs(sum(right[i] for i in inside) - sum(confidence[i] for i in inside))
    return error / len(labels)


def scores_in_loops(logits: list[list[float]], labels: list[int], names: list[str]) -> dict[str, float]:
    """Score predictions by the definitions; a class that neither occurs nor is predicted has no F1."""
    best = [row.index(max(row)) for row in logits]
    top5 = [
        label in sorted(range(len(row)), key=lambda c: -row[c])[:5] for row, label in zip(logits, labels, strict=True)
    ]
    scores = {
        "accuracy": sum(a == b for a, b in zip(best, labels, strict=True)) / len(labels),
        "accuracy_top5": sum(top5) / len(labels),
    }
    f1 = []
    for index, name in enumerate(names):
        hits = sum(a == b == index for a, b in zip(best, labels, strict=True))
        occurs, predicted = labels.count(index), best.count(index)
        scores[f"class_accuracy/{name}"] = hits / occurs if occurs else math.nan
        if occurs or predicted:
            f1.append(2 * hits / (occurs + predicted))
    scores["f1"] = sum(f1) / len(f1)
    scores["calibration_error"] = calibration_error_in_loops(logits, labels)
    return scores


class Scripted(ClassificationTask):
    """Reads its logits off the first pixel of an image."""

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images[..., 0, 0]


@pytest.mark.parametrize("stage", ["val", "test"])
def test_metrics_are_what_their_definitions_say(stage: str, make_trainer: Callable[..., Trainer]) -> None:
    names = list("abcdefgh")
    task = Scripted(8, class_names=names, in_channels=8, backbone_options=SMALL)
    # Class c occurs in no label, class d is never predicted, and class e neither.
    labels = torch.tensor([0, 1, 3, 5, 6, 7])[torch.randint(6, (41,))]
    images = torch.rand(41, 8, 2, 2)
    images[:, 3:5] /= 100
    everything = ClassificationBatch(images, labels, torch.arange(41))
    batches = [ClassificationBatch(*(field[start : start + 9] for field in everything)) for start in range(0, 41, 9)]
    trainer = make_trainer()
    evaluate = trainer.validate if stage == "val" else trainer.test
    (found,) = evaluate(task, DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]  # a list

    expected = scores_in_loops(task(images).tolist(), labels.tolist(), names)
    expected["loss"] = cross_entropy_in_loops(task(images), labels, [1.0] * 8, 0.0)
    assert found == pytest.approx({f"{stage}/{name}": value for name, value in expected.items()}, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize(("classes", "logged"), [(5, False), (6, True)])
def test_five_best_of_five_say_nothing(classes: int, logged: bool) -> None:
    assert (
        "accuracy_top5" in ClassificationTask(classes, backbone_options=SMALL).scores.val_metrics.keys(keep_base=True)
    ) is logged


def test_classes_without_names_are_logged_by_number(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    metrics = fit(ClassificationTask(3, backbone_options=SMALL), [batch], max_steps=1).callback_metrics
    assert {f"val/class_accuracy/{index}" for index in range(3)} <= metrics.keys()
    assert "train/f1" not in metrics


def test_training_accuracy_is_that_of_the_epoch(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    options = {**SMALL, "norm": "none"}
    task = ClassificationTask(
        3, backbone_options=options, optimizer=partial(SGD, lr=0.0), lr_scheduler="constant", warmup=0
    )
    other = random_batch(4, classes=3)
    metrics = fit(task, [batch, other], max_epochs=2).callback_metrics
    right = [int((task(b.images).argmax(1) == b.labels).sum()) for b in (batch, other)]
    assert metrics["train/accuracy"].item() == pytest.approx(sum(right) / 10)
    assert metrics["train/accuracy"] == metrics["val/accuracy"]


def test_one_batch_is_learnt_by_heart(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    task = ClassificationTask(
        3, backbone_options=SMALL, optimizer=partial(Adam, lr=0.05), lr_scheduler="constant", warmup=0
    )
    trainer = fit(task, [batch] * 60, max_epochs=1, limit_val_batches=1)
    assert trainer.callback_metrics["val/loss"] < 0.01
    assert trainer.callback_metrics["val/accuracy"] == 1


def test_a_plain_loader_of_pairs_is_enough(make_trainer: Callable[..., Trainer]) -> None:
    images, labels, _ = random_batch(7, classes=3)
    task = ClassificationTask(3, backbone_options=SMALL)
    trainer = make_trainer(max_epochs=1)
    loader = DataLoader(TensorDataset(images, labels), batch_size=4)
    trainer.fit(task, loader, loader)
    assert 0 <= trainer.callback_metrics["val/accuracy"] <= 1
    predicted: Any = trainer.predict(task, loader)
    assert [len(predictions.labels) for predictions in predicted] == [4, 3]


def test_names_and_size_come_from_the_data(make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule(train_size=4, val_size=2, image_size=(16, 24), batch_size=2)
    task = ClassificationTask(4, backbone_options=SMALL)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=data)
    assert task.class_names == ["circle", "square", "triangle", "star"]
    assert task.image_size == (16, 24)
    assert "val/class_accuracy/triangle" in trainer.callback_metrics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"num_classes": 5},
            "The data have 4 classes, the task was made for num_classes=5. Leave num_classes to the data",
        ),
        ({"class_names": ["a", "b", "c", "d"]}, r"classes of the data are circle, .*those of the task a, b"),
        ({"in_channels": 1}, "images of the data have 3 channels, the task was made for in_channels=1"),
    ],
)
@pytest.mark.parametrize("stage", ["fit", "validate"])
def test_data_that_do_not_fit_are_an_error(
    stage: str, arguments: dict[str, Any], message: str, make_trainer: Callable[..., Trainer]
) -> None:
    data = ShapesDataModule(train_size=2, val_size=1, image_size=(16, 16))
    task = ClassificationTask(**{"num_classes": 4, "backbone_options": SMALL, **arguments})
    trainer = make_trainer(max_epochs=1)
    with pytest.raises(ArgumentError, match=message):
        trainer.fit(task, datamodule=data) if stage == "fit" else trainer.validate(task, datamodule=data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0; expected at least 1"),
        (
            {"num_classes": 3, "class_names": ["a"]},
            "class_names has 1 entries for num_classes=3; expected one per class",
        ),
        ({"num_classes": 1, "class_weights": [1.0, 2.0]}, "class_weights has 2 entries for num_classes=1"),
    ],
)
def test_arguments_that_contradict_each_other_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ClassificationTask(**arguments)


def test_a_batch_too_small_for_batch_norm_is_an_error(fit: Callable[..., Trainer]) -> None:
    task = ClassificationTask(3)
    before = [parameter.detach().clone() for parameter in task.parameters()]
    with pytest.raises(
        ArgumentError, match=r"Batch norm cannot train on a batch of 1: .* larger batch size \(with drop_last"
    ):
        fit(task, [random_batch(1, classes=3, size=(4, 4))], max_epochs=1)
    assert all(torch.equal(a, b) for a, b in zip(before, task.parameters(), strict=True))


def test_a_loss_that_is_not_finite_names_the_images_and_changes_no_weight(fit: Callable[..., Trainer]) -> None:
    task = ClassificationTask(3, backbone_options={**SMALL, "norm": "none"})
    good = random_batch(2, classes=3)
    bad = ClassificationBatch(torch.full((2, 3, 9, 14), math.inf), torch.tensor([0, 1]), torch.tensor([41, 77]))
    reference = ClassificationTask(3, backbone_options={**SMALL, "norm": "none"})
    reference.load_state_dict(task.state_dict())
    options = {"max_epochs": 1, "limit_val_batches": 0}
    with pytest.raises(
        NonFiniteLossError, match=r"not finite at step 1 \(cross_entropy nan\) .* ids \[41, 77\]; the weights"
    ):
        fit(task, [good, bad], **options)
    fit(reference, [good, good], **options, limit_train_batches=1)
    # The schedules of one and two batches differ from the second step only.
    assert all(torch.equal(a, b) for a, b in zip(reference.parameters(), task.parameters(), strict=True))


def test_measured_normalisation_needs_a_data_module(fit: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    task = ClassificationTask(3, normalization="dataset", backbone_options=SMALL)
    with pytest.raises(ArgumentError, match="'dataset' is measured on the training data when a fit begins"):
        fit(task, [batch], max_epochs=1)


@pytest.mark.parametrize(
    ("backbone", "count"), [("googlenet-small", 2), pytest.param("inception_v3", 1, marks=pytest.mark.slow)]
)
def test_auxiliary_classifiers_keep_the_contract(backbone: str, count: int) -> None:
    task = ClassificationTask(3, backbone=backbone, auxiliary_weight=0.3)
    images = random_batch(2, classes=3, size=(32, 32)).images
    assert task(images).shape == (2, 1 + count, 3)
    check_task(task, random_batch(3, classes=3, size=(32, 32)))


def test_auxiliary_losses_are_named_and_weighted() -> None:
    task = ClassificationTask(3, backbone="googlenet-small", auxiliary_weight=0.3, label_smoothing=0.1)
    batch = random_batch(4, classes=3)
    outputs = torch.randn(4, 3, 3)
    terms = task.losses(outputs, batch)
    assert terms.keys() == {"cross_entropy", "auxiliary1", "auxiliary2"}
    for weight, logits, term in zip([1.0, 0.3, 0.3], outputs.unbind(1), terms.values(), strict=True):
        expected = weight * cross_entropy_in_loops(logits, batch.labels, [1.0] * 3, 0.1)
        assert term.item() == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(task.predict(outputs).probabilities, outputs[:, 0].softmax(1))


def test_auxiliary_classifiers_need_a_backbone_with_maps_for_them() -> None:
    with pytest.raises(ArgumentError, match=r"auxiliary_weight is 0.3, but the backbone has no maps .* googlenet and"):
        ClassificationTask(3, auxiliary_weight=0.3)
