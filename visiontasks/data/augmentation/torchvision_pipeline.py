"""Augmentation with ``torchvision.transforms.v2``, of an image together with its boxes and mask.

torchvision is imported when there is such a pipeline.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8

from visiontasks.data.augmentation.steps import check_channels, leaves
from visiontasks.data.images.arrays import Pixels
from visiontasks.errors import ArgumentError
from visiontasks.types import IGNORED


class Transformed(NamedTuple):
    """An image and its annotations after a pipeline.

    Attributes:
        pixels: The image.
        boxes: Boxes, xyxy in pixels; they may reach out of the image.
        kept: Position of each among the given ones.
        mask: The mask, or that of each remaining box; None if none was given.
    """

    pixels: Pixels
    boxes: Float64[np.ndarray, "kept 4"]
    kept: Int64[np.ndarray, " kept"]
    mask: UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "kept rows columns"] | None


class TorchvisionPipeline:
    """A pipeline of torchvision's transforms.

    Its random numbers are those of torch, seeded for every sample, after which torch's random state is as before. Mask
    pixels from outside the image are ignored (255), whatever the ``fill`` of a transform is.

    Args:
        steps: Transforms of ``torchvision.transforms.v2``; they are copied.

    Raises:
        ArgumentError: If one is of the first version, which knows neither boxes nor masks.

    Example:
        >>> from torchvision.transforms import v2
        >>> flip = TorchvisionPipeline([v2.RandomHorizontalFlip(p=1)])
        >>> flip(np.zeros((8, 10, 3), np.uint8), 0, np.array([[0.0, 2.0, 3.0, 8.0]]), None).boxes.tolist()
        [[7.0, 2.0, 10.0, 8.0]]
    """

    def __init__(self, steps: Sequence[Any]) -> None:
        from torchvision import tv_tensors
        from torchvision.transforms import v2

        for step in leaves(steps):
            if not isinstance(step, v2.Transform):
                message = (
                    f"The augmentation has {type(step).__name__} of {type(step).__module__}; expected the transform of "
                    "torchvision.transforms.v2, which mostly has the same name and moves boxes and masks as well."
                )
                raise ArgumentError(message)
        self.steps = v2.Compose([deepcopy(step) for step in steps])
        # What is to remain of boxes is then decided there; otherwise they are clipped at the end.
        sanitized = any(isinstance(step, v2.SanitizeBoundingBoxes) for step in leaves(steps))
        self.clamping_mode = "soft" if sanitized else None
        for step in leaves([self.steps]):
            if hasattr(step, "_fill"):
                step._fill = {**step._fill, tv_tensors.Mask: IGNORED}

    def __call__(
        self,
        pixels: Pixels,
        seed: int,
        boxes: Float64[np.ndarray, "objects 4"] | None,
        mask: UInt8[np.ndarray, "height width"] | UInt8[np.ndarray, "objects height width"] | None,
    ) -> Transformed:
        """Transform an image.

        Args:
            pixels: The image, uint8, [H, W, C].
            seed: Seed of all random numbers, at least 0.
            boxes: xyxy in pixels.
            mask: Class of each pixel, or a mask for each box.

        Raises:
            ArgumentError: If a transform refuses the image, the boxes or the mask.
        """
        from torchvision import tv_tensors

        check_channels(self.steps, pixels.shape[2])
        data: dict[str, Any] = {"image": tv_tensors.Image(torch.from_numpy(pixels).permute(2, 0, 1))}
        if boxes is not None:
            size, known = pixels.shape[:2], {"format": "XYXY", "clamping_mode": self.clamping_mode}
            data["boxes"] = tv_tensors.BoundingBoxes(torch.from_numpy(boxes), canvas_size=size, **known)
            data["labels"] = torch.arange(len(boxes))
        if mask is not None:
            data["mask"] = tv_tensors.Mask(torch.from_numpy(mask))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            try:
                data = self.steps(data)
            except (TypeError, ValueError) as error:
                message = f"The augmentation fails on a sample of {' and '.join(data)}: {error}"
                raise ArgumentError(message) from error
        kept = data.get("labels", torch.arange(0)).numpy()
        moved = data["boxes"].numpy().astype(np.float64) if boxes is not None else np.empty((0, 4))
        changed = None if mask is None else np.ascontiguousarray(data["mask"].numpy())
        if changed is not None and changed.ndim == 3 and len(changed) != len(kept):
            changed = changed[kept]
        return Transformed(data["image"].permute(1, 2, 0).contiguous().numpy(), moved, kept, changed)
