"""Segmentation of whole images, window by window if they are large."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from visiontasks.data.images.arrays import Pixels, to_tensor
from visiontasks.errors import ArgumentError
from visiontasks.prediction.predictors import Found, ImagePredictor
from visiontasks.prediction.sliding_window import slide
from visiontasks.tasks.averaging import Flips, check_averaging
from visiontasks.tasks.segmentation import SegmentationTask

Image = UInt8[Tensor, "channels height width"]


class MaskPredictor(ImagePredictor):
    """Masks of images of any size.

    Args:
        task: The task, with its weights, on its device and in evaluation mode.
        window: Height and width in pixels of the windows that an image is cut into, such as (512, 512), so that any
            image fits into memory; None for the whole image at once.
        overlap: Overlap of neighbouring windows as a fraction of a window, 0 to 0.9; the windows are blended there.
        flips: Mirror images whose probabilities are averaged with those of the image; by default as the task has it.
        scales: Factors of the size whose probabilities are averaged; by default as the task has it.
        windows_at_once: Number of windows of the same size that are computed at once.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> task = SegmentationTask(num_classes=5, backbone_options={"filters": [4, 8]}).eval()
        >>> predictor = MaskPredictor(task, window=(64, 64))
        >>> predictor.segment(torch.zeros(3, 150, 100, dtype=torch.uint8)).shape
        torch.Size([150, 100])
    """

    batch_size = 1
    formats = ("png", "jsonl", "coco")

    def __init__(
        self,
        task: SegmentationTask,
        *,
        window: tuple[int, int] | None = None,
        overlap: float = 0.25,
        flips: Flips | None = None,
        scales: Sequence[float] | None = None,
        windows_at_once: int = 1,
    ) -> None:
        super().__init__(task)
        if windows_at_once < 1:
            message = f"windows_at_once is {windows_at_once}; expected at least 1."
            raise ArgumentError(message)
        check_averaging("none" if flips is None else flips, (1.0,) if scales is None else scales)
        self.window = window
        self.overlap = overlap
        self.windows_at_once = windows_at_once
        self.flips = flips
        self.scales = scales

    @torch.inference_mode()
    def segment(self, image: Image) -> UInt8[Tensor, "height width"] | UInt8[Tensor, "classes height width"]:
        """Find the class of each pixel.

        With a window, memory in addition to the image and the result does not grow with the height of the image.

        Args:
            image: The image.

        Returns:
            Class of each pixel; multilabel: for each class whether the pixel belongs to it, 1 or 0.
        """
        layers = (self.task.num_classes,) if self.task.mode == "multilabel" else ()
        labels = torch.empty(*layers, *image.shape[1:], dtype=torch.uint8)
        row = 0
        rows = slide(
            self._probabilities,
            image,
            window=self.window,
            overlap=self.overlap,
            multiple=max(self.task.backbone.strides),
            batch_size=self.windows_at_once,
        )
        for probabilities in rows:
            end = row + probabilities.shape[1]
            labels[..., row:end, :] = self._decide(probabilities)
            row = end
        return labels

    def prepare(self, pixels: Pixels, name: Path | int) -> Image:
        """Return the image unchanged."""
        return to_tensor(pixels)

    @torch.inference_mode()
    def predict(self, samples: Sequence[Tensor]) -> list[Found]:
        """Segment images: with a window one by one, otherwise consecutive images of the same size together."""
        if self.window is not None:
            return [self._found(self.segment(image)) for image in samples]
        found: list[Found] = []
        for _, same in groupby(samples, lambda image: image.shape):
            probabilities = self._probabilities(torch.stack(list(same)))
            found += [self._found(self._decide(one).cpu()) for one in probabilities]
        return found

    def _probabilities(self, images: Tensor) -> Tensor:
        task: SegmentationTask = self.task
        return task.probabilities(images.to(task.device), self.flips, self.scales)

    def _found(self, mask: Tensor) -> Found:
        pixels = mask.shape[-2] * mask.shape[-1]
        counts = mask.flatten(1).sum(1) if mask.ndim == 3 else torch.bincount(mask.flatten(), minlength=256)
        labels = counts.nonzero().flatten().tolist()
        return self.named(labels, [int(counts[label]) / pixels for label in labels]) | {"mask": mask}

    def _decide(self, probabilities: Tensor) -> Tensor:
        if self.task.mode == "multiclass":
            return probabilities.max(0).indices.to(torch.uint8)
        decisions: Tensor = (probabilities >= self.task.threshold).to(torch.uint8)
        return decisions if self.task.mode == "multilabel" else decisions[0]
