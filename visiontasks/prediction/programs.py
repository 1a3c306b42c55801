"""Tasks as functions of tensors: uint8 images in, named results out, of shapes that do not depend on values."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from visiontasks.detection.boxes import clip_to, is_box, take
from visiontasks.detection.cascade import refine
from visiontasks.detection.mask_head import of_class
from visiontasks.detection.nms import suppress
from visiontasks.detection.outputs import DetectionOutputs
from visiontasks.errors import ArgumentError, ExportError
from visiontasks.tasks.detection import DetectionTask
from visiontasks.tasks.instance_segmentation import InstanceSegmentationTask
from visiontasks.tasks.task import Task
from visiontasks.types import DetectionPredictions, InstancePredictions

_LEAST_SIDE = 1e-2
# What comes out cannot have the name of what goes in.
_OTHERWISE = {"images": "reconstructions"}


class Program(nn.Module):
    """A task as a module from images to predictions, including any averaging over mirrored or resized images.

    Args:
        task: The task, with its weights.
        image_size: Height and width in pixels of the images.

    Attributes:
        inputs: Names of the inputs of :meth:`forward`.
        outputs: Names of its outputs.
        score: Minimum score of a detection; None for results that are not detections.

    Raises:
        ExportError: If the task cannot be computed from images alone, or its predictions are not tensors.
    """

    inputs: tuple[str, ...] = ("images",)
    score: float | None = None

    def __init__(self, task: Task, image_size: tuple[int, int]) -> None:
        super().__init__()
        self.task = task.eval()
        self.image_size = image_size
        name = type(task).__name__
        try:
            with torch.inference_mode():
                predictions = self.reference(*self.example(1))
        except Exception as error:  # whatever a task of one's own may raise
            message = f"{name} cannot be exported, because predict(eval_forward(images)) fails: {error}"
            raise ExportError(message) from error
        fields = getattr(predictions, "_fields", ())
        if not fields or not all(isinstance(value, Tensor) for value in predictions):
            message = (
                f"{name} cannot be exported, because its predictions are a {type(predictions).__name__}; expected a "
                "NamedTuple of tensors."
            )
            raise ExportError(message)
        self.outputs = tuple(_OTHERWISE.get(field, field) for field in fields)

    def example(self, count: int) -> tuple[Tensor, ...]:
        """Create inputs for a number of images."""
        return (torch.zeros(count, self.task.in_channels, *self.image_size, dtype=torch.uint8),)

    def reference(self, images: UInt8[Tensor, "batch channels height width"]) -> Any:  # noqa: ANN401 (each task has its own)
        """Compute the predictions as the task does."""
        return self.task.predict(self.task.eval_forward(images))

    def forward(self, images: UInt8[Tensor, "batch channels height width"]) -> tuple[Tensor, ...]:
        """Compute the predictions, field by field."""
        return tuple(self.reference(images))


class DetectionProgram(Program):
    """A detector as a module from images and their sizes to detections.

    Where the number of regions depends on the image in the task, it is fixed here. The detections are the same unless
    more than ``pairs`` pairs of region and class reach the score threshold.

    Args:
        task: The task, with its weights.
        image_size: Height and width in pixels of the images, padding to the right and below included.
        pairs: Number of pairs of region and class that non-maximum suppression considers, those with the highest
            scores.

    Raises:
        ArgumentError: If its proposals come from a file, it processes each region separately, or it looks at several
            views of an image or lowers scores by soft suppression.
    """

    inputs = ("images", "sizes")
    task: DetectionTask

    def __init__(self, task: DetectionTask, image_size: tuple[int, int], pairs: int = 1000) -> None:
        if task.proposals == "precomputed" or task.per_region:
            message = (
                "A detector is exported whose proposals and features come from the image alone; this one has proposals="
                f"{task.proposals!r} and features={'per-region' if task.per_region else 'shared'!r}. Export one with "
                "proposals='rpn' or 'sliding-window' and features='shared'."
            )
            raise ArgumentError(message)
        averaged = task.test_time_flips != "none" or task.test_time_scales != (1.0,)
        if averaged or task.roi_head.soft_nms != "none":
            message = (
                "A detector is exported that looks at the image alone and suppresses boxes; this one has "
                f"test_time_flips={task.test_time_flips!r}, test_time_scales={list(task.test_time_scales)} and "
                f"box_soft_nms={task.roi_head.soft_nms!r}. Load it without: {type(task).__name__}."
                "load_from_checkpoint(FILE, test_time_flips='none', test_time_scales=[1.0], box_soft_nms='none')."
            )
            raise ArgumentError(message)
        self.pairs = pairs
        self.score = task.roi_head.score_thresh
        super().__init__(task, image_size)

    def example(self, count: int) -> tuple[Tensor, ...]:
        """Create inputs for a number of images."""
        return (*super().example(count), torch.tensor([self.image_size] * count))

    def reference(  # type: ignore[override]  # images alone are not enough
        self, images: UInt8[Tensor, "batch channels height width"], sizes: Int64[Tensor, "batch 2"]
    ) -> DetectionPredictions | InstancePredictions:
        """Compute the predictions as the task does."""
        return self.task.predict(self.task.eval_forward(images, sizes))

    def forward(  # type: ignore[override]
        self, images: UInt8[Tensor, "batch channels height width"], sizes: Int64[Tensor, "batch 2"]
    ) -> tuple[Tensor, ...]:
        """Compute boxes, scores and labels, in descending order of score, then padding."""
        return self.detect(self.task.eval_forward(images, sizes))

    def detect(self, outputs: DetectionOutputs) -> tuple[Tensor, Tensor, Tensor]:
        """Compute boxes, scores and labels from features and proposals."""
        head, sizes = self.task.roi_head, outputs.sizes
        batch, regions = outputs.proposals.shape[:2]
        read = partial(self.task.read, outputs.features)
        flat = outputs.proposals.flatten(0, 1)
        logits, deltas, refined = refine(self.task.stages, read, flat, _owners(outputs.proposals), sizes)
        scores = logits.softmax(1)[:, : head.num_classes].view(batch, regions, head.num_classes)
        scores = torch.where(is_box(outputs.proposals)[..., None], scores, 0.0).flatten(1)
        likely, pairs = scores.topk(min(self.pairs, scores.shape[1]), 1)
        labels = pairs % head.num_classes
        boxed = pairs if deltas.shape[1] > 1 else pairs // head.num_classes
        region_boxes = take(refined.view_as(outputs.proposals), pairs // head.num_classes)
        boxes = head.coder.decode(take(deltas.reshape(batch, -1, 4), boxed), region_boxes)
        boxes = clip_to(boxes, sizes)
        valid = (likely > head.score_thresh) & (boxes[..., 2:] - boxes[..., :2] >= _LEAST_SIDE).all(-1)
        keep = suppress(boxes, valid, head.nms_thresh, labels)
        scores, ranked = torch.where(keep, likely, 0.0).topk(min(head.detections_per_img, likely.shape[1]), 1)
        detected = scores > 0
        padding = (0, head.detections_per_img - scores.shape[1])
        boxes = torch.where(detected[..., None], take(boxes, ranked), 0.0)
        labels = torch.where(detected, labels.gather(1, ranked), -1)
        return F.pad(boxes, (0, 0, *padding)), F.pad(scores, padding), F.pad(labels, padding, value=-1)


class InstanceProgram(DetectionProgram):
    """A detector with masks as a module from images and their sizes to detections and their masks."""

    task: InstanceSegmentationTask

    def forward(  # type: ignore[override]
        self, images: UInt8[Tensor, "batch channels height width"], sizes: Int64[Tensor, "batch 2"]
    ) -> tuple[Tensor, ...]:
        """Compute boxes, scores, labels and masks, in descending order of score, then padding."""
        outputs = self.task.eval_forward(images, sizes)
        boxes, scores, labels = self.detect(outputs)
        logits = self.task.mask_logits(outputs.features, boxes.flatten(0, 1), _owners(boxes))
        masks = of_class(logits, labels.flatten().clamp(min=0)).sigmoid().unflatten(0, labels.shape)
        return boxes, scores, labels, torch.where((labels >= 0)[..., None, None], masks, 0.0)


def _owners(boxes: Float[Tensor, "batch boxes 4"]) -> Int64[Tensor, " regions"]:
    """Return the index in the batch of the image of each box."""
    return torch.arange(boxes.shape[0], device=boxes.device)[:, None].expand(boxes.shape[:2]).flatten()
