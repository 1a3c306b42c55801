from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from tests.pretended_gpu import GPU, pretended_gpu
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    Task,
)
from visiontasks.errors import ArgumentError
from visiontasks.tasks.batches import name_fields
from visiontasks.types import ClassificationBatch, DetectionBatch, LocalizationBatch, SegmentationBatch, ids_of

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


def loader(*batches: Any) -> DataLoader[Any]:  # noqa: ANN401 - whatever a user yields
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset


@pytest.mark.parametrize(
    ("make", "truth"),
    [
        (lambda: ClassificationTask(4, **SMALL), torch.tensor([0, 3, 1])),
        (lambda: SegmentationTask(4, **SMALL), torch.randint(4, (3, 12, 16), dtype=torch.uint8)),
        (lambda: AutoencodingTask(code_size=4, image_size=(12, 16), **SMALL), torch.tensor([0, 1, 1])),
        (lambda: AutoencodingTask(code_size=4, image_size=(12, 16), **SMALL), None),
    ],
)
def test_plain_tensors_train_and_predict(
    make: Callable[[], Task], truth: torch.Tensor | None, make_trainer: Callable[..., Trainer]
) -> None:
    images, task = torch.rand(3, 3, 12, 16), make()
    plain = loader([images] if truth is None else [images, truth])
    make_trainer(max_epochs=1).fit(task, plain, plain)
    (found,) = make_trainer().predict(task, loader(images)) or []
    (again,) = make_trainer().predict(task, plain) or []
    torch.testing.assert_close(found, again)


@pytest.mark.parametrize(
    "make",
    [
        lambda: DetectionTask(2, **SMALL, fpn_width=8, head_width=8),
        lambda: LocalizationTask(2, **SMALL),
        lambda: ClassificationTask(2, **SMALL, mode="multilabel"),
        lambda: SegmentationTask(2, **SMALL, mode="multilabel"),
    ],
    ids=["detection", "localization", "several classes", "several classes of a pixel"],
)
def test_images_alone_are_enough_to_predict(make: Callable[[], Task], make_trainer: Callable[..., Trainer]) -> None:
    images, task = torch.rand(2, 3, 24, 32), make().eval()
    (found,) = make_trainer().predict(task, loader(images)) or []
    with torch.no_grad():
        torch.testing.assert_close(found, task.predict(task(images)))


@pytest.mark.parametrize("kind", [ClassificationBatch, LocalizationBatch, DetectionBatch, SegmentationBatch])
def test_what_is_not_known_of_images_alone_has_the_form_of_what_is(kind: Any) -> None:  # noqa: ANN401 - a NamedTuple
    batch = name_fields(torch.rand(2, 3, 5, 7), kind, "a task", alone=True)._asdict()
    expected: dict[str, tuple[tuple[int, ...], float | None]] = {
        "labels": ((2, 0) if kind is DetectionBatch else (2,), -1),
        "boxes": ((2, 0, 4) if kind is DetectionBatch else (2, 4), 0),
        "ignore": ((2, 0), 0),
        "areas": ((2, 0), 0),
        "masks": ((2, 5, 7), 255),
        "scale": ((2, 2), 1),
    }
    for name, values in batch.items():
        if name in expected:
            shape, value = expected[name]
            assert values.shape == shape, name
            assert (values == value).all(), name
    assert batch["ids"].tolist() == [0, 1]
    assert "sizes" not in batch or batch["sizes"].tolist() == [[5, 7]] * 2


def test_nothing_is_learnt_from_images_alone() -> None:
    with pytest.raises(ArgumentError, match="expected a tuple with the fields of DetectionBatch"):
        DetectionTask(2, **SMALL, fpn_width=8, head_width=8).as_batch(torch.rand(2, 3, 24, 32))


@pytest.mark.parametrize(
    ("task", "batch", "found"),
    [
        (ClassificationTask, {"image": 1}, "is a dict; expected a pair of tensors, or a tuple with the fields of"),
        (ClassificationTask, torch.rand(3, 12, 16), r"is a Tensor of shape \[3, 12, 16\]"),
        (ClassificationTask, [torch.rand(2, 3, 9, 9)], "is a list of Tensor; expected a pair of tensors"),
        (SegmentationTask, torch.rand(2, 3, 9, 9), r"is a Tensor of shape \[2, 3, 9, 9\]; expected a pair of tensors"),
        (ClassificationTask, (torch.rand(2, 3, 9, 9), [0, 1], ["a", "b"]), "is a tuple of Tensor, list, list"),
        (DetectionTask, (torch.rand(2, 3, 9, 9), torch.rand(2, 4)), r"of DetectionBatch \(images, boxes, labels"),
    ],
)
def test_other_batches_are_named(task: Any, batch: Any, found: str) -> None:  # noqa: ANN401 - a class, and anything
    with pytest.raises(ArgumentError, match=found):
        task(4, **SMALL).as_batch(batch)


class Unnumbered(NamedTuple):
    """A batch of a user who has no use for ids."""

    images: torch.Tensor
    labels: torch.Tensor


def test_images_without_ids_are_counted() -> None:
    batch = Unnumbered(torch.rand(3, 1, 2, 2), torch.zeros(3))
    assert ClassificationTask(4, **SMALL).as_batch(batch) is batch
    assert ids_of(batch).tolist() == [0, 1, 2]


def test_on_a_gpu_fields_are_named_without_waiting() -> None:
    with pretended_gpu():
        pair = (torch.zeros(2, 3, 4, 6).to(GPU), torch.zeros(2, 4, 6, dtype=torch.uint8).to(GPU))
    with pretended_gpu(may_wait=False):
        named = name_fields(pair, SegmentationBatch, "SegmentationTask", alone=False)
    with pretended_gpu():
        assert named.sizes.cpu().tolist() == [[4, 6], [4, 6]]
