"""Random instances of a data set, what was predicted of them, and what pycocotools says to that."""

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.models.detection.roi_heads import paste_masks_in_image

from visiontasks.instance_masks import pack_masks
from visiontasks.types import InstanceBatch, InstancePredictions

SIZE = (88, 120)
"""Height and width of the original images; those in the batch are 44 x 80."""


class Image(NamedTuple):
    """An image with its objects and what was predicted; masks and boxes in pixels of the original."""

    labels: torch.Tensor
    ignore: torch.Tensor
    masks: torch.Tensor
    areas: torch.Tensor
    boxes: torch.Tensor
    found_labels: torch.Tensor
    scores: torch.Tensor
    grids: torch.Tensor


def random_images(seed: int) -> tuple[list[Image], int]:
    """Images with and without objects and detections, crowds, empty masks, holes, equal scores; and their classes."""
    torch.manual_seed(seed)
    count, classes = int(torch.randint(1, 7, ())), int(torch.randint(1, 12, ()))
    images = []
    for _ in range(count):
        objects = int(torch.randint(0, 6, ())) * int(torch.rand(()) < 0.85)
        sides = torch.exp(torch.rand(objects, 2) * 3.2 + 1)
        corners = torch.rand(objects, 2) * (torch.tensor([SIZE[1], SIZE[0]]) - sides).clamp(0)
        boxes = torch.cat([corners, corners + sides], 1)
        smooth = torch.nn.functional.interpolate(torch.rand(objects, 1, 4, 4) + 0.2, (28, 28), mode="bilinear")[:, 0]
        masks = paste_masks_in_image(smooth[:, None], boxes, SIZE)[:, 0] > 0.5
        masks[torch.rand(objects) < 0.1] = False
        labels = torch.randint(0, classes, (objects,))
        # Some objects of a size class that their masks do not have.
        areas = masks.sum((1, 2)).float() * torch.where(torch.rand(objects) < 0.2, 8.0, 1.0)
        repeats = int(torch.randint(0, 5, ()))
        near = torch.arange(objects).repeat(repeats)
        some = torch.rand(len(near)) < 0.8
        noise = int(torch.randint(0, 6, ())) * int(torch.rand(()) < 0.8)
        corner = torch.rand(noise, 2) * 40
        moved = (boxes[near] + torch.randn(len(near), 4) * (torch.rand(()) < 0.7)).clamp(min=0)
        moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 0.5)
        found = torch.cat([moved, torch.cat([corner, corner + 1 + 59 * torch.rand(noise, 2)], 1)])
        grids = torch.cat([smooth[near] + 0.1 * torch.randn(len(near), 28, 28), torch.rand(noise, 28, 28)]).clamp(0, 1)
        grids[torch.rand(len(grids)) < 0.08] = 0.1
        kinds = torch.cat([labels[near], torch.randint(0, classes, (noise,))])
        wrong = torch.rand(len(kinds)) < 0.2
        kinds[wrong] = torch.randint(0, classes, (int(wrong.sum()),))
        kept = torch.cat([some, torch.ones(noise, dtype=torch.bool)])
        scores = (torch.rand(len(kinds)) * 10).round() / 10 if seed % 2 else torch.rand(len(kinds))
        order = scores[kept].argsort(descending=True, stable=True)
        found, kinds, scores, grids = (field[kept][order] for field in (found, kinds, scores, grids))
        images.append(Image(labels, torch.rand(objects) < 0.2, masks, areas, found, kinds, scores, grids))
    return images, classes


def as_batch(images: list[Image], ids: list[int]) -> tuple[InstancePredictions, InstanceBatch]:
    """The same as one padded batch, at another size than the original images."""
    shrink = torch.tensor([1.5, 2, 1.5, 2])
    most, found, count = max(len(i.labels) for i in images), max(len(i.scores) for i in images), len(images)
    packed = [pack_masks(image.masks.numpy()) for image in images]
    batch = InstanceBatch(
        images=torch.zeros(count, 3, 1, 1, dtype=torch.uint8),
        boxes=torch.zeros(count, most, 4),
        labels=torch.full((count, most), -1),
        ignore=torch.zeros(count, most, dtype=torch.bool),
        sizes=torch.tensor([[44, 80]]).repeat(count, 1),
        scale=torch.tensor([[2.0, 1.5]]).repeat(count, 1),
        ids=torch.tensor(ids),
        areas=torch.zeros(count, most),
        mask_bits=torch.zeros(count, max(len(bits) for bits, _ in packed), dtype=torch.uint8),
        mask_windows=torch.zeros(count, most, 4, dtype=torch.int64),
        mask_sizes=torch.tensor([SIZE]).repeat(count, 1),
    )
    predictions = InstancePredictions(
        torch.zeros(count, found, 4),
        torch.zeros(count, found),
        torch.full((count, found), -1),
        torch.zeros(count, found, 28, 28),
    )
    for row, (image, (bits, windows)) in enumerate(zip(images, packed, strict=True)):
        for field, values in (("labels", image.labels), ("ignore", image.ignore), ("areas", image.areas)):
            getattr(batch, field)[row, : len(values)] = values
        batch.mask_bits[row, : len(bits)] = torch.from_numpy(bits)
        batch.mask_windows[row, : len(windows)] = torch.from_numpy(windows)
        predictions.boxes[row, : len(image.boxes)] = image.boxes / shrink
        predictions.scores[row, : len(image.boxes)] = image.scores
        predictions.labels[row, : len(image.boxes)] = image.found_labels
        predictions.masks[row, : len(image.boxes)] = image.grids
    return predictions, batch


def run_length(mask: torch.Tensor) -> dict[str, Any]:
    """Encode a mask as COCO does."""
    return dict(coco_mask.encode(np.asfortranarray(mask.numpy().astype(np.uint8))))


def by_pycocotools(images: list[Image], classes: int) -> Any:  # noqa: ANN401 (it has no types)
    """Evaluate masks with the reference; its ids start at 1, because it takes the object 0 for none."""
    truth, shrink = COCO(), torch.tensor([1.5, 2, 1.5, 2])
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for number, image in enumerate(images):
        for label, ignore, mask, area in zip(*image[:4], strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": int(label),
                    "segmentation": run_length(mask),
                    "area": float(area),
                    "iscrowd": int(ignore),
                }
            )
        # As the predictions are seen: in pixels of the batch.
        pasted = paste_masks_in_image(image.grids[:, None], image.boxes / shrink * shrink, SIZE)[:, 0] >= 0.5
        for label, score, mask in zip(image.found_labels, image.scores, pasted, strict=True):
            results.append(
                {
                    "image_id": number,
                    "category_id": int(label),
                    "segmentation": run_length(mask),
                    "score": float(score),
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.dataset = {
            "info": {},
            "images": [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in range(len(images))],
            "categories": [{"id": label, "name": str(label)} for label in range(classes)],
            "annotations": annotations,
        }
        truth.createIndex()
        found = truth.loadRes(results) if results else COCO()
        if not results:
            found.dataset = truth.dataset | {"annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation
