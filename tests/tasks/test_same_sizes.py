"""The scores of an image are those that it has alone, whatever shares its batch."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from visiontasks import DetectionBatch, DetectionTask, SegmentationBatch, SegmentationTask
from visiontasks.data.loading.collate import collate
from visiontasks.decoders import list_decoders
from visiontasks.errors import ArgumentError
from visiontasks.tasks import same_sizes
from visiontasks.tasks.same_sizes import join, split_by_size

SIZES = ((21, 30), (64, 50), (21, 30), (48, 80))
SMALL: dict[str, Any] = {"backbone": "cnn", "backbone_options": {"filters": [4, 8, 8, 8], "norm": "group"}}


def segmentation_samples() -> list[SegmentationBatch]:
    generator = torch.Generator().manual_seed(0)
    return [
        SegmentationBatch(
            torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=generator),
            torch.randint(0, 5, size, dtype=torch.uint8, generator=generator),
            torch.tensor(size),
            torch.ones(2),
            torch.tensor(number),
        )
        for number, size in enumerate(SIZES)
    ]


def detection_samples() -> list[DetectionBatch]:
    return [
        DetectionBatch(
            images=sample.images,
            boxes=torch.tensor([[5.0, 3.0, 25.0, 19.0]] * (number % 3)).reshape(-1, 4),
            labels=torch.arange(number % 3),
            ignore=torch.zeros(number % 3, dtype=torch.bool),
            sizes=sample.sizes,
            scale=sample.scale,
            ids=sample.ids,
            areas=torch.full((number % 3,), 320.0),
        )
        for number, sample in enumerate(segmentation_samples())
    ]


def scores(
    task: Any,  # noqa: ANN401 - of two kinds
    samples: list[Any],
    trainer: Trainer,
    batch_size: int,
    multiple: int,
) -> dict[str, float]:
    loader: DataLoader[Any] = DataLoader(samples, batch_size, collate_fn=lambda some: collate(some, multiple))  # type: ignore[arg-type]  # a list is enough
    values = trainer.test(task, loader, verbose=False)[0]
    return {name: value for name, value in values.items() if not math.isnan(value)}


def assert_alone_as_together(task: Any, samples: list[Any], multiple: int = 1) -> None:  # noqa: ANN401 - of two kinds
    """Assert that the predictions of an image do not depend on the batch, also where it is padded there."""
    task.eval()
    with torch.no_grad():
        together = task.predict_step(collate(samples, multiple), 0)
        for row, sample in enumerate(samples):
            alone = task.predict_step(collate([sample], multiple), 0)
            for name, values in alone._asdict().items():
                here = together._asdict()[name][(row, *(slice(side) for side in values.shape[1:]))]
                torch.testing.assert_close(here, values[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("decoder", "backbone"),
    [*((decoder, "cnn") for decoder in list_decoders()), ("unet", "resnet18-small"), ("fpn", "googlenet")],
)
def test_pixels_do_not_depend_on_the_batch(decoder: str, backbone: str) -> None:
    options = SMALL if backbone == "cnn" else {"backbone": backbone}
    task = SegmentationTask(5, decoder=decoder, normalization="local_contrast", **options)
    assert_alone_as_together(task, segmentation_samples())


DETECTORS: dict[str, dict[str, Any]] = {
    "v1": {},
    "v2": {"design": "v2"},
    "one-map": {"neck": "none"},
    "windows": {"proposals": "sliding-window"},
}


def detector(**options: Any) -> DetectionTask:  # noqa: ANN401 - of the task
    task = DetectionTask(3, fpn_width=8, head_width=16, box_score_thresh=0.3, **options, **SMALL)
    task.view = {"policy": "Within", "shorter": 21, "longer": 80, "multiple": 32}
    return task


@pytest.mark.parametrize("name", DETECTORS)
def test_boxes_do_not_depend_on_the_batch(name: str) -> None:
    assert_alone_as_together(detector(**DETECTORS[name]), detection_samples(), multiple=32)


def test_scores_do_not_depend_on_the_batch_size(make_trainer: Callable[..., Trainer]) -> None:
    segmentation = SegmentationTask(5, decoder="fpn", **SMALL)
    for task, samples, multiple in ((segmentation, segmentation_samples(), 1), (detector(), detection_samples(), 32)):
        expected, found = (scores(task, samples, make_trainer(), size, multiple) for size in (1, len(samples)))
        assert len(found) > 2
        assert found == pytest.approx(expected, rel=1e-4)


def test_no_more_pixels_are_evaluated_at_once_than_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_sizes, "PIXELS", 2 * 21 * 30)
    samples = [segmentation_samples()[row] for row in (0, 1, 2, 0, 2, 1)]
    parts = split_by_size(collate(samples))
    assert [rows for rows, _ in parts] == [[0, 2], [3, 4], [1], [5]]
    for rows, part in parts:
        for row, image, mask in zip(rows, part.images, part.masks, strict=True):
            assert torch.equal(image, samples[row].images)
            assert torch.equal(mask, samples[row].masks)


def test_an_image_is_padded_to_the_multiple_with_what_is_ignored() -> None:
    sample = segmentation_samples()[0]
    [(rows, part)] = split_by_size(collate([sample]), multiple=32)
    assert (rows, part.images.shape, part.masks.shape) == ([0], (1, 3, 32, 32), (1, 32, 32))
    assert torch.equal(part.images[0, :, :21, :30], sample.images)
    assert not part.images[0, :, 21:].any()
    assert (part.masks[0, :, 30:] == 255).all()
    assert part.images.is_contiguous(memory_format=torch.channels_last)


class Plain(NamedTuple):
    images: Tensor


def test_a_batch_without_padding_is_passed_on() -> None:
    batch = collate([segmentation_samples()[row] for row in (0, 2)])
    assert split_by_size(batch)[0][1] is batch
    plain = Plain(torch.zeros(2, 3, 4, 4))
    assert split_by_size(plain) == [([0, 1], plain)]
    own = SimpleNamespace(images=torch.zeros(2, 3, 4, 4), sizes=torch.tensor([[4, 4], [2, 3]]))
    assert split_by_size(own) == [([0, 1], own)]


def test_predictions_of_any_form_are_joined_in_the_order_of_the_batch() -> None:
    def predictions(rows: list[int], side: int) -> dict[str, Any]:
        values = torch.tensor(rows)
        return {"labels": values[:, None].repeat(1, side), "pair": (values, [str(row) for row in rows])}

    joined = join([(rows, predictions(rows, side)) for rows, side in (([2, 0], 1), ([1], 2))])
    assert joined["labels"].tolist() == [[0, -1], [1, 1], [2, -1]]
    assert joined["pair"][0].tolist() == [0, 1, 2]
    assert joined["pair"][1] == ["0", "1", "2"]
    assert join([([0], "one part")]) == "one part"
    with pytest.raises(ArgumentError, match="have a str, which cannot be joined"):
        join([([0], "two"), ([1], "parts")])


def test_padding_of_a_training_batch_is_zero_after_normalisation() -> None:
    task = SegmentationTask(5, normalization={"mean": [0.2, 0.5, 0.9], "std": [0.1, 0.2, 0.3]}, **SMALL)
    batch = collate(segmentation_samples())
    task.train()
    filled = task.as_batch(batch)
    normalized = task.normalize(filled.images)
    assert normalized[0, :, 21:].abs().max() <= 0.5 / 255 / 0.1 + 1e-5
    assert torch.equal(filled.images[0, :, :21, :30], batch.images[0, :, :21, :30])
    assert filled.images.is_contiguous(memory_format=torch.channels_last)
    task.eval()
    assert task.as_batch(batch) is batch
