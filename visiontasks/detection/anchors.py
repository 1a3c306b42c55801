"""Anchors: the reference boxes of proposals."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.errors import ArgumentError


class Anchors(nn.Module):
    """Boxes of several sizes and shapes at every position of every feature map.

    Ren et al., Faster R-CNN (NeurIPS 2015), section 3.1.1. As in torchvision's ``AnchorGenerator``, the anchors of
    position (i, j) are centred at x = j * stride, y = i * stride. The strides are those of the maps; torchvision
    computes them from the sizes of images and maps.

    Args:
        strides: Strides of the feature maps in pixels, fine to coarse.
        scales: Sides of the square anchors in multiples of the stride, the same for every map.
        aspect_ratios: Ratios of height to width; the area is that of the square.
        rounded: Whether corners are rounded to whole pixels, as in torchvision; in Detectron2 and MMDetection they are
            not.

    Raises:
        ArgumentError: If a scale or ratio is missing or not positive.

    Example:
        >>> anchors = Anchors((16,), scales=(2, 4), aspect_ratios=(1,))
        >>> anchors([torch.zeros(1, 8, 1, 2)])[1:3]
        tensor([[-32., -32.,  32.,  32.],
                [  0., -16.,  32.,  16.]])
    """

    def __init__(
        self,
        strides: Sequence[int],
        scales: Sequence[float] = (8.0,),
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        *,
        rounded: bool = True,
    ) -> None:
        super().__init__()
        if not scales or not aspect_ratios or min(*scales, *aspect_ratios) <= 0:
            message = f"anchor scales are {scales} and aspect ratios {aspect_ratios}; expected positive numbers."
            raise ArgumentError(message)
        self.strides = tuple(strides)
        self.per_place = len(scales) * len(aspect_ratios)
        height = torch.tensor(aspect_ratios, dtype=torch.float32).sqrt()
        for level, stride in enumerate(strides):
            sides = torch.tensor([scale * stride for scale in scales], dtype=torch.float32)
            widths, heights = ((ratio[:, None] * sides).flatten() for ratio in (1 / height, height))
            cell = torch.stack([-widths, -heights, widths, heights], 1) / 2
            # Integers, which are not rounded when weights are cast to a lower precision.
            self.register_buffer(f"cell{level}", cell.round().long() if rounded else cell, persistent=False)

    def forward(self, features: Features) -> Float[Tensor, "anchors 4"]:
        """Return the anchors of all maps, ordered by map, row, column and shape; they may reach outside the image."""
        levels = []
        for level, (feature, stride) in enumerate(zip(features, self.strides, strict=True)):
            cell = self.get_buffer(f"cell{level}")
            y, x = (torch.arange(side, device=cell.device) * stride for side in feature.shape[-2:])
            corner = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).repeat(1, 1, 2)
            levels.append((corner[:, :, None] + cell).flatten(0, 2))
        return torch.cat(levels).float()
