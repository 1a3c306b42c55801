"""Boxes and masks that Weights & Biases draws by itself, read back from what its client wrote."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import wandb
from PIL import Image

from tests.callbacks.wandb_log import no_account, read_logs
from visiontasks.callbacks.kinds import kind_of
from visiontasks.callbacks.wandb_images import wandb_images
from visiontasks.instance_masks import pack_masks
from visiontasks.kinds import Kind
from visiontasks.types import (
    DetectionBatch,
    DetectionPredictions,
    InstanceBatch,
    InstancePredictions,
    LocalizationBatch,
    LocalizationPredictions,
    SegmentationBatch,
    SegmentationPredictions,
)

TASK = SimpleNamespace(kind=None)
NAMES = ["cat", "dog", "horse"]
IMAGES = torch.arange(2 * 3 * 10 * 12, dtype=torch.uint8).reshape(2, 3, 10, 12)
SIZES, SCALE, IDS = torch.tensor([[10, 12], [8, 9]]), torch.ones(2, 2), torch.arange(2)


def detections() -> tuple[DetectionBatch, DetectionPredictions]:
    boxes = torch.tensor([[[1.0, 2, 5, 7], [3, 3, 9, 9]], [[0, 0, 4, 4], [0, 0, 0, 0]]])
    labels, flags = torch.tensor([[0, 2], [1, -1]]), torch.zeros(2, 2, dtype=torch.bool)
    batch = DetectionBatch(IMAGES, boxes, labels, flags, SIZES, SCALE, IDS, torch.zeros(2, 2))
    found = DetectionPredictions(boxes + 0.5, torch.tensor([[0.9, 0.01], [0.7, 0.0]]), torch.tensor([[0, 1], [2, -1]]))
    return batch, found


def localizations() -> tuple[LocalizationBatch, LocalizationPredictions]:
    boxes = torch.tensor([[1.0, 2, 5, 7], [0, 0, 0, 0]])
    batch = LocalizationBatch(IMAGES, torch.tensor([1, -1]), boxes, SIZES, SCALE, IDS)
    probabilities = torch.tensor([[0.2, 0.7, 0.1], [0.4, 0.3, 0.3]])
    scores, labels = probabilities.max(1)
    class_boxes = (boxes + 1)[:, None].expand(-1, 3, -1)
    return batch, LocalizationPredictions(probabilities, labels, scores, boxes + 1, class_boxes)


def segmentations() -> tuple[SegmentationBatch, SegmentationPredictions]:
    masks = torch.randint(3, (2, 10, 12), dtype=torch.uint8)
    masks[0, 0] = 255
    labels = torch.randint(3, (2, 10, 12), dtype=torch.uint8)
    return SegmentationBatch(IMAGES, masks, SIZES, SCALE, IDS), SegmentationPredictions(labels, torch.ones(2, 10, 12))


def test_boxes_and_masks_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_account(monkeypatch, tmp_path)
    made: dict[str, Any] = {"boxes": detections(), "box": localizations(), "masks": segmentations()}
    with wandb.init(mode="offline", dir=tmp_path, project="p", settings=wandb.Settings(silent=True)) as run:
        for name, (batch, predictions) in made.items():
            run.log({name: wandb_images(kind_of(TASK, predictions, batch), batch, predictions, NAMES)})
    (log,) = read_logs(tmp_path)

    def entries(name: str, image: int) -> dict[str, Any]:
        told = log.last(name)["all_boxes"][image]
        return {
            group: json.loads((log.folder / about["path"]).read_text())["box_data"] for group, about in told.items()
        }

    def corners(entry: dict[str, Any]) -> list[float]:
        return [entry["position"][corner] for corner in ("minX", "minY", "maxX", "maxY")]

    first, second = entries("boxes", 0), entries("boxes", 1)
    assert [(corners(one), one["class_id"]) for one in first["ground_truth"]] == [([1, 2, 5, 7], 0), ([3, 3, 9, 9], 2)]
    (found,) = first["predictions"]  # what is next to impossible is left out
    assert (corners(found), found["class_id"], found["box_caption"]) == ([1.5, 2.5, 5.5, 7.5], 0, "cat 0.90")
    assert found["scores"]["score"] == pytest.approx(0.9)
    assert all(entry["domain"] == "pixel" for entry in [*first["predictions"], *first["ground_truth"]])
    assert len(second["ground_truth"]) == len(second["predictions"]) == 1
    with Image.open(log.folder / log.last("boxes")["filenames"][1]) as picture:
        assert np.array_equal(np.array(picture), IMAGES[1, :, :8, :9].permute(1, 2, 0).numpy())

    one = entries("box", 0)
    assert corners(one["ground_truth"][0]) == [1, 2, 5, 7]
    assert corners(one["predictions"][0]) == [2, 3, 6, 8]
    assert entries("box", 1)["ground_truth"] == []

    batch, predictions = made["masks"]
    for image, (height, width) in enumerate(SIZES.tolist()):
        told = log.last("masks")["all_masks"][image]
        for group, masks in (("ground_truth", batch.masks), ("predictions", predictions.labels)):
            with Image.open(log.folder / told[group]["path"]) as mask:
                assert np.array_equal(np.array(mask), masks[image, :height, :width].numpy())


def test_instances_have_boxes_and_the_class_of_each_pixel() -> None:
    batch, _ = detections()
    true = np.zeros((2, 20, 24), np.uint8)
    true[0, 4:14, 2:10] = 1
    true[1, 6:18, 6:18] = 1
    bits, windows = pack_masks(true)
    one = InstanceBatch(
        **{name: field[:1] for name, field in batch._asdict().items()},
        mask_bits=torch.from_numpy(bits)[None],
        mask_windows=torch.from_numpy(windows)[None],
        mask_sizes=torch.tensor([[20, 24]]),
    )
    boxes = torch.tensor([[[2.0, 2, 8, 8], [4, 4, 10, 9]]])
    found = InstancePredictions(boxes, torch.tensor([[0.9, 0.6]]), torch.tensor([[2, 0]]), torch.ones(1, 2, 28, 28))
    kind = kind_of(TASK, found, one)
    assert kind.wandb is not None
    told = kind.wandb(one, found, NAMES)
    assert set(told) == {"boxes", "masks"}
    assert [entry["class_id"] for entry in told["boxes"]["predictions"]["box_data"]] == [2, 0]
    truth, guess = (told["masks"][group] for group in ("ground_truth", "predictions"))
    assert truth["class_labels"] == guess["class_labels"] == {1: "cat", 2: "dog", 3: "horse"}
    # Half the size of the original; the first is on top.
    expected = np.zeros((10, 12), np.uint8)
    expected[3:9, 3:9] = 3
    expected[2:7, 1:5] = 1
    np.testing.assert_array_equal(truth["mask_data"], expected)
    assert (guess["mask_data"][3:7, 3:7] == 3).all()
    assert guess["mask_data"][6, 9] == 1
    assert guess["mask_data"][0, 0] == 0
    assert len(wandb_images(kind, one, found, NAMES) or []) == 1
    many = [str(number) for number in range(300)]
    assert set(kind.wandb(one, found, many)) == {"boxes"}


def test_several_classes_of_a_pixel_have_a_mask_each(tmp_path: Path) -> None:
    masks = torch.randint(2, (1, 3, 10, 12), dtype=torch.uint8)
    batch = SegmentationBatch(IMAGES[:1], masks, SIZES[:1], SCALE[:1], IDS[:1])
    predictions = SegmentationPredictions(1 - masks, torch.ones(1, 3, 10, 12))
    (image,) = wandb_images(kind_of(TASK, predictions, batch), batch, predictions, NAMES) or []
    groups = {f"{group} {name}" for group in ("ground_truth", "predictions") for name in NAMES}
    assert set(image._masks or {}) == groups


def test_what_is_unknown_has_no_images() -> None:
    assert wandb_images(Kind(), *detections(), NAMES) is None
