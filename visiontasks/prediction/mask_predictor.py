"""Segmentation of whole images, window by window if they are large."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Whole
from visiontasks.data.augmentation.windows import Window
from visiontasks.data.images.arrays import resize
from visiontasks.errors import ArgumentError
from visiontasks.prediction.image_predictor import Fields, ImagePredictor, Sample, given_options
from visiontasks.prediction.sliding_window import Image, slide
from visiontasks.tasks.averaging import Flips, Probabilities, check_averaging
from visiontasks.tasks.batches import without_truth
from visiontasks.tasks.segmentation import SegmentationTask
from visiontasks.types import SegmentationPredictions

Mask = UInt8[Tensor, "height width"] | UInt8[Tensor, "classes height width"]


class MaskPredictor(ImagePredictor):
    """Masks of images.

    Args:
        task: The task, with its weights, on its device and in evaluation mode.
        view: How images are brought to it.
        window: Height and width in pixels of the windows that an image is cut into, such as (512, 512), so that any
            image fits into memory; None for the whole image at once.
        overlap: Overlap of neighbouring windows as a fraction of a window, 0 to 0.9; the windows are blended there.
        flips: Mirror images whose probabilities are averaged with those of the image; by default as the task has it.
        scales: Factors of the size at which the network sees images in this view, whose probabilities are averaged; by
            default as the task has it.
        windows_at_once: Number of windows of the same size that are computed at once.

    Raises:
        ArgumentError: If an argument is out of range.

    Example:
        >>> from visiontasks.data.augmentation.resizing import Whole
        >>> task = SegmentationTask(num_classes=5, backbone_options={"filters": [4, 8]}).eval()
        >>> predictor = MaskPredictor(task, EvaluationView(Whole()), window=(64, 64))
        >>> predictor.segment(torch.zeros(3, 150, 100, dtype=torch.uint8)).shape
        torch.Size([150, 100])
    """

    task: SegmentationTask
    usual_batch_size = 1

    def __init__(
        self,
        task: SegmentationTask,
        view: EvaluationView,
        *,
        window: tuple[int, int] | None = None,
        overlap: float = 0.25,
        flips: Flips | None = None,
        scales: Sequence[float] | None = None,
        windows_at_once: int = 1,
    ) -> None:
        super().__init__(task, view)
        if windows_at_once < 1:
            message = f"windows_at_once is {windows_at_once}; expected at least 1."
            raise ArgumentError(message)
        check_averaging("none" if flips is None else flips, (1.0,) if scales is None else scales)
        self.window = window
        self.overlap = overlap
        self.windows_at_once = windows_at_once
        seen = view.resizing.scale if isinstance(view.resizing, Whole) else 1.0
        factors = tuple(seen * scale for scale in (task.test_time_scales if scales is None else scales))
        own = factors == task.evaluation_scales
        self.forward_options = given_options(task.eval_forward, flips=flips, scales=None if own else factors)

    @torch.inference_mode()
    def segment(self, image: Image) -> Mask:
        """Find the class of each pixel of an image that is large, window by window.

        Memory in addition to the image and the result does not grow with the height of the image.

        Args:
            image: The image, as the network sees it.

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
            # Decided as everywhere: by the task's predict, from outputs of the blended probabilities.
            decided: SegmentationPredictions = self.task.predict(
                self.task.logits(probabilities[None].to(self.task.device))
            )
            labels[..., row:end, :] = decided.labels[0]
            row = end
        return labels

    def predict_batch(self, samples: Sequence[Sample]) -> list[Fields]:
        """Segment images: with a window one by one, otherwise together."""
        if self.window is None:
            return super().predict_batch(samples)
        return [self._of_mask(self.segment(image.images), (window.height, window.width)) for image, window in samples]

    def fields(self, predictions: SegmentationPredictions, window: Window) -> Fields:
        """Return the mask at the size of the original, its classes, and the share of the pixels of each."""
        return self._of_mask(predictions.labels[0], (window.height, window.width))

    def _probabilities(self, windows: UInt8[Tensor, "batch channels height width"]) -> Probabilities:
        batch = without_truth(self.task.batch_type, windows.to(self.task.device))
        return self.task.probabilities(self.outputs(batch))

    def _of_mask(self, mask: Mask, size: tuple[int, int]) -> Fields:
        if tuple(mask.shape[-2:]) != size:
            layers = [resize(layer.numpy(), size, nearest=True) for layer in mask.reshape(-1, *mask.shape[-2:])]
            mask = torch.from_numpy(np.stack(layers)).reshape(*mask.shape[:-2], *size)
        counts = mask.flatten(1).sum(1) if mask.ndim == 3 else torch.bincount(mask.flatten(), minlength=256)
        labels = counts.nonzero().flatten().tolist()
        return self.named(labels, [int(counts[label]) / (size[0] * size[1]) for label in labels]) | {"mask": mask}
