import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics.classification import MulticlassAUROC

from tests.tasks.localization_batches import random_batch
from visiontasks import LocalizationBatch, LocalizationTask, ShapesDataModule
from visiontasks.errors import ArgumentError, NonFiniteLossError
from visiontasks.losses.box import BoxLoss, box_loss
from visiontasks.tasks.localization import LocalizationOutputs
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}
LOSSES: tuple[BoxLoss, ...] = get_args(BoxLoss)


def make(classes: int = 3, **options: Any) -> LocalizationTask:  # noqa: ANN401 - arguments of the task
    return LocalizationTask(classes, **{"backbone_options": SMALL, **options})


def random_outputs(batch: LocalizationBatch, classes: int, boxes: int = 1) -> LocalizationOutputs:
    corners = torch.rand(len(batch.labels), boxes, 2) * 0.6
    size = (batch.images.shape[2], batch.images.shape[3])
    found = torch.cat([corners, corners + 0.1 + torch.rand(corners.shape) * 0.5], 2)
    return LocalizationOutputs(torch.randn(len(batch.labels), classes), found, size)


@pytest.mark.parametrize(
    ("classes", "channels", "size", "options"),
    [
        (3, 3, (9, 14), {}),
        (1, 1, (8, 8), {"normalization": "unit", "head": "pooled"}),
        (7, 2, (1, 1), {"backbone_options": {**SMALL, "norm": "none"}, "class_agnostic": False}),
        (6, 3, (33, 17), {"backbone_options": {"filters": [4, 8, 8, 8]}, "head": "pooled", "class_agnostic": False}),
        (
            2,
            5,
            (13, 31),
            {"dropout": 0.5, "label_smoothing": 0.1, "class_weights": [1.0, 2.0], "class_names": ["a", "b"]},
        ),
    ],
)
def test_the_contract_is_kept(classes: int, channels: int, size: tuple[int, int], options: dict[str, Any]) -> None:
    check_task(make(classes, in_channels=channels, **options), random_batch(5, classes, channels, size, empty=(2,)))


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_trains_by_name(name: BoxLoss) -> None:
    check_task(make(box_loss=name, box_weight=2.0), random_batch(4, classes=3, empty=(0,)))


def classification_in_loops(logits: Tensor, labels: Tensor, weights: list[float], smoothing: float) -> float:
    total = 0.0
    classes = logits.shape[1]
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        log_sum = math.log(sum(math.exp(value) for value in row))
        for other in range(classes):
            if label < 0:
                total += (log_sum - row[other]) / classes
            else:
                target = smoothing / classes + (1 - smoothing) * (other == label)
                total += weights[other] * target * (log_sum - row[other])
    return total / len(labels)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 4.0]])
def test_the_class_term_is_the_cross_entropy_and_undecided_without_an_object(
    smoothing: float, weights: list[float] | None
) -> None:
    task = make(label_smoothing=smoothing, class_weights=weights, classification_weight=0.7)
    batch = random_batch(7, classes=3, empty=(1, 4))
    outputs = random_outputs(batch, 3)
    expected = 0.7 * classification_in_loops(outputs.logits, batch.labels, weights or [1.0] * 3, smoothing)
    assert task.losses(outputs, batch)["classification"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("class_agnostic", [True, False])
@pytest.mark.parametrize("name", LOSSES)
def test_the_box_term_is_that_of_the_images_with_an_object(name: BoxLoss, class_agnostic: bool) -> None:
    task = make(box_loss=name, box_weight=3.0, class_agnostic=class_agnostic)
    batch = random_batch(6, classes=3, size=(20, 40), empty=(0, 3))
    outputs = random_outputs(batch, 3, 1 if class_agnostic else 3)
    total = 0.0
    for label, true, guesses in zip(batch.labels.tolist(), batch.boxes, outputs.boxes, strict=True):
        if label >= 0:
            pixels = guesses[0 if class_agnostic else label] * torch.tensor([40, 20, 40, 20])
            total += box_loss(pixels[None] / 40, true[None] / 40, name).item()
    assert task.losses(outputs, batch)["box"].item() == pytest.approx(3 * total / 6, rel=1e-5)


def test_the_loss_does_not_depend_on_how_images_fall_into_batches() -> None:
    task = make(class_weights=[1.0, 0.5, 4.0])
    batch = random_batch(6, classes=3, empty=(0, 1, 5))
    outputs = random_outputs(batch, 3)
    parts = []
    for part in (slice(0, 2), slice(2, 4), slice(4, 6)):
        some = LocalizationBatch(*(field[part] for field in batch))
        parts.append(task.losses(LocalizationOutputs(outputs.logits[part], outputs.boxes[part], outputs.size), some))
    for name, whole in task.losses(outputs, batch).items():
        torch.testing.assert_close(torch.stack([terms[name] for terms in parts]).mean(), whole)


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_any_object_trains_the_class_head_only(name: BoxLoss) -> None:
    task = make(box_loss=name)
    batch = random_batch(4, classes=3, empty=(0, 1, 2, 3))
    terms = task.losses(task(batch.images), batch)
    assert terms["box"] == 0
    assert 0 < terms["classification"] < 10
    torch.stack(list(terms.values())).sum().backward()
    gradients = {key: value.grad for key, value in task.named_parameters()}
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients.values())
    assert gradients["head.classes.weight"].abs().sum() > 0  # type: ignore[union-attr]  # checked above
    # The last layer gives the weights for box and class first, and then the box.
    assert gradients["head.cells.bias"][2:].abs().sum() == 0  # type: ignore[index]  # as above


def test_the_class_head_learns_to_be_undecided_without_an_object() -> None:
    task = make(2)
    batch = random_batch(4, classes=2, empty=(0, 1))
    logits = torch.tensor([[3.0, -1.0]] * 4, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=5.0)
    for _ in range(100):
        outputs = LocalizationOutputs(logits, torch.tensor([[[0.0, 0, 1, 1]]] * 4), (24, 32))
        optimizer.zero_grad()
        task.losses(outputs, batch)["classification"].backward()
        optimizer.step()
    assert task.predict(outputs).scores[:2].max() < 0.51
    assert logits.softmax(1)[2:].gather(1, batch.labels[2:, None]).min() > 0.95


@pytest.mark.parametrize("class_agnostic", [True, False])
def test_predictions_are_the_best_class_and_its_box_inside_the_image(class_agnostic: bool) -> None:
    batch = random_batch(9, classes=4, size=(20, 50))
    outputs = random_outputs(batch, 4, 1 if class_agnostic else 4)
    outputs = outputs._replace(boxes=outputs.boxes * 2 - 0.5)
    predictions = make(4, class_agnostic=class_agnostic).predict(outputs)
    torch.testing.assert_close(predictions.probabilities, outputs.logits.softmax(1))
    for index, row in enumerate(outputs.logits.tolist()):
        label = row.index(max(row))
        assert predictions.labels[index] == label
        assert predictions.scores[index] == predictions.probabilities[index, label]
        x1, y1, x2, y2 = outputs.boxes[index, 0 if class_agnostic else label].tolist()
        clipped = [min(max(x1, 0), 1) * 50, min(max(y1, 0), 1) * 20, min(max(x2, 0), 1) * 50, min(max(y2, 0), 1) * 20]
        assert predictions.boxes[index].tolist() == pytest.approx(clipped, abs=1e-5)
        assert torch.equal(predictions.class_boxes[index, label], predictions.boxes[index])
    assert predictions.class_boxes.shape == (9, 4, 4)


@pytest.mark.parametrize("head", ["attention", "pooled"])
def test_outputs_are_float32_under_autocast_and_boxes_have_sides(head: Any) -> None:  # noqa: ANN401 - a literal
    task = make(head=head, class_agnostic=False)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = task(random_batch(2, classes=3).images)
    assert outputs.logits.dtype == outputs.boxes.dtype == torch.float32
    assert outputs.size == (24, 32)
    assert (outputs.boxes[..., 2:] > outputs.boxes[..., :2]).all()


class Scripted(LocalizationTask):
    """Reads its outputs off the first pixels of an image."""

    def forward(self, images: Tensor) -> LocalizationOutputs:
        values = 4 * images - 1
        return LocalizationOutputs(10 * values[:, :6, 0, 0], values[:, None, :4, 0, 1], (40, 80))


@pytest.mark.parametrize("stage", ["val", "test"])
def test_metrics_are_logged_as_their_definitions_say(stage: str, make_trainer: Callable[..., Trainer]) -> None:
    task = Scripted(6, in_channels=6, backbone_options=SMALL)
    task.add_metrics({"auroc": MulticlassAUROC(6, ignore_index=-1)})
    corners = torch.rand(41, 2) * 0.5
    boxes = torch.cat([corners, corners + 0.2 + torch.rand(41, 2) * 0.3], 1)
    values, labels = torch.rand(41, 6, 1, 2), torch.randint(-1, 6, (41,))
    values[:, :4, 0, 1] = boxes + torch.randn(41, 4) * 0.04
    # Half of the classes are guessed right.
    values[torch.arange(0, 41, 2), labels[::2].clamp(min=0), 0, 0] = 2
    images = (values + 1) / 4
    pixels = boxes * torch.tensor([80, 40, 80, 40]) * (labels >= 0)[:, None]
    everything = LocalizationBatch(
        images, labels, pixels, torch.tensor([[40, 80]] * 41), torch.ones(41, 2), torch.arange(41)
    )
    batches = [LocalizationBatch(*(field[start : start + 9] for field in everything)) for start in range(0, 41, 9)]
    trainer = make_trainer()
    evaluate = trainer.validate if stage == "val" else trainer.test
    (found,) = evaluate(task, DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]  # a list

    outputs = task(images)
    terms = task.losses(outputs, everything)
    right, overlaps = [], []
    for label, guess, box, predicted in zip(
        labels.tolist(), outputs.logits.argmax(1).tolist(), pixels, task.predict(outputs).boxes, strict=True
    ):
        if label >= 0:
            right.append(label == guess)
            overlaps.append(1 - box_loss(predicted[None], box[None], "iou").item())
    expected = {
        "loss": sum(terms.values()).item(),  # type: ignore[union-attr]  # tensors
        "loss_classification": terms["classification"].item(),
        "loss_box": terms["box"].item(),
        "accuracy": sum(right) / len(right),
        "mean_iou": sum(overlaps) / len(right),
        "iou_50": sum(overlap >= 0.5 for overlap in overlaps) / len(right),
        "iou_75": sum(overlap >= 0.75 for overlap in overlaps) / len(right),
        "localization_error": 1 - sum(r and o >= 0.5 for r, o in zip(right, overlaps, strict=True)) / len(right),
    }
    assert {name: found[f"{stage}/{name}"] for name in expected} == pytest.approx(expected, rel=1e-5)
    others = {"localization_error_top5", "accuracy_top5", "auroc"}
    assert found.keys() == {f"{stage}/{name}" for name in expected.keys() | others}


def test_it_trains_on_a_data_module_and_comes_back_from_a_checkpoint(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    data = ShapesDataModule("localization", train_size=8, val_size=4, image_size=(16, 24), batch_size=4)
    task = make(4)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=data)
    assert task.class_names == ["circle", "square", "triangle", "star"]
    assert task.image_size == (16, 24)
    metrics = trainer.callback_metrics
    assert {"train/loss_box", "val/localization_error", "val/iou_75"} <= metrics.keys()
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = LocalizationTask.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.class_names == task.class_names


@pytest.mark.parametrize(
    ("data", "arguments", "message"),
    [
        ({}, {"num_classes": 5}, "The data have 4 classes, the task was made for num_classes=5"),
        ({"task": "classification"}, {}, "yields batches of classification, LocalizationTask takes localization"),
    ],
)
def test_data_that_do_not_fit_are_an_error(
    data: dict[str, Any], arguments: dict[str, Any], message: str, make_trainer: Callable[..., Trainer]
) -> None:
    shapes = ShapesDataModule(
        **{"task": "localization", "train_size": 2, "val_size": 1, "image_size": (16, 16), **data}
    )
    with pytest.raises(ArgumentError, match=message):
        make_trainer(max_epochs=1).fit(make(**{"classes": arguments.get("num_classes", 4)}), datamodule=shapes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0, .* expected at least 1 class"),
        ({"box_weight": -1.0}, r"box_weight -1.0 .* weights of at least 0"),
        ({"class_names": ["a"]}, "class_names has 1 entries for num_classes=3; expected one per class"),
    ],
)
def test_wrong_arguments_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        LocalizationTask(**{"num_classes": 3, **arguments})


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head": "pooling"}, r"head is 'pooling'\. Did you mean 'pooled'"),
        ({"box_loss": "gious"}, r"box_loss is 'gious'\. Did you mean 'giou'"),
    ],
)
def test_unknown_names_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        LocalizationTask(3, **arguments)


def test_a_box_that_is_not_a_number_stops_training_and_names_the_images(fit: Callable[..., Trainer]) -> None:
    batch = random_batch(3, classes=3)
    batch.boxes[1, 2] = math.nan
    with pytest.raises(NonFiniteLossError, match=r"classification [\d.]+, box nan\) for the images .* \[40, 41, 42\]"):
        fit(make(), [batch], max_epochs=1)


def test_a_precision_that_rounds_boxes_is_refused(make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule("localization", train_size=2, val_size=1, batch_size=2)
    task = LocalizationTask(4, backbone_options={"filters": [4], "depth": 1})
    with pytest.raises(ArgumentError, match=r"boxes are off by pixels\. Use '16-mixed'"):
        make_trainer(max_steps=1, precision="16-true").fit(task, datamodule=data)
