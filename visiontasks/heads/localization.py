"""Heads of a localizer: a class and a box on shared features."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features

Head = Literal["attention", "pooled"]
ClassAndBoxes = tuple[Float[Tensor, "batch classes"], Float[Tensor, "batch boxes 4"]]

_LEVELS = 2
_GROUPS = 8
_FIRST_DISTANCE = -1.35  # softplus gives 0.23: the initial box has half the side of the image


class PooledHead(nn.Module):
    """Global average pooling of the coarsest feature map, and a linear layer each for class and box.

    The box is given by its centre and its size, as shares of the image, each the sigmoid of an output. Pooling discards
    positions, so the features themselves have to encode them.

    Args:
        channels: Channels of each feature map, fine to coarse; the last one is used.
        num_classes: Classes, background not counted.
        num_boxes: Number of boxes: 1, or one per class.
        dropout: Probability that an input feature of the classifier is dropped in training, 0 to 1.
    """

    def __init__(self, channels: tuple[int, ...], num_classes: int, num_boxes: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(channels[-1], num_classes)
        self.boxes = nn.Linear(channels[-1], 4 * num_boxes)

    def forward(self, features: Features) -> ClassAndBoxes:
        """Compute logits, [B, num_classes], and boxes as shares of width and height, xyxy, [B, num_boxes, 4]."""
        pooled = features[-1].mean((-2, -1))
        # Boxes are in float32 for any precision.
        centre, size = self.boxes(pooled).float().unflatten(1, (-1, 4)).sigmoid().split(2, dim=2)
        return self.classes(self.dropout(pooled)), torch.cat([centre - size / 2, centre + size / 2], 2)


class AttentionHead(nn.Module):
    """A small convolutional head that keeps positions: every cell predicts a box, and attention weights the cells.

    The two coarsest feature maps are joined at the finer one's size, as in a feature pyramid (Lin et al., CVPR 2017),
    and a 3x3 convolution follows. Each cell then gives

    - the distances of the four sides of the box from the cell's centre, as in FCOS (Tian et al., ICCV 2019), as shares
      of the image, each the softplus of an output;
    - its weight among all cells, a softmax: one for the box, and one for the class.

    The box is the weighted mean of the cells' boxes. The class is predicted by a linear layer from the weighted mean of
    the cells' features, so that the object counts and its surroundings do not. FCOS trains the cells inside the object
    and chooses the best one; here the weights are learnt from the loss alone, without any assignment.

    Args:
        channels: Channels of each feature map, fine to coarse; the last two are used, or the only one.
        num_classes: Classes, background not counted.
        num_boxes: Number of boxes: 1, or one per class.
        dropout: Probability that an input feature of the classifier is dropped in training, 0 to 1.
        width: Channels of the head, a multiple of 8.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        num_classes: int,
        num_boxes: int = 1,
        dropout: float = 0.0,
        width: int = 128,
    ) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels[-_LEVELS:])
        self.joined = nn.GroupNorm(_GROUPS, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.cells = nn.Conv2d(width, 2 + 4 * num_boxes, 1)
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(width, num_classes)
        # Initially all cells have equal weight, and each predicts a box around itself.
        nn.init.zeros_(self.cells.weight)
        nn.init.constant_(self.cells.bias, _FIRST_DISTANCE)  # type: ignore[arg-type]  # this convolution has one

    def forward(self, features: Features) -> ClassAndBoxes:
        """Compute logits, [B, num_classes], and boxes as shares of width and height, xyxy, [B, num_boxes, 4]."""
        maps = [lateral(x) for lateral, x in zip(self.lateral, features[-len(self.lateral) :], strict=True)]
        x = maps[0] if len(maps) == 1 else maps[0] + F.interpolate(maps[1], maps[0].shape[-2:])
        x = F.relu(self.joined(x))
        x = F.relu(self.norm(self.conv(x)))
        # Boxes are in float32 for any precision.
        weights, distances = self.cells(x).float().split([2, self.cells.out_channels - 2], dim=1)
        for_box, for_class = weights.flatten(2).softmax(2).unbind(1)
        boxes = _boxes_of_cells(F.softplus(distances.unflatten(1, (-1, 4))))
        seen = (x.flatten(2) * for_class[:, None].to(x.dtype)).sum(2)
        return self.classes(self.dropout(seen)), (boxes.flatten(3) * for_box[:, None, None]).sum(3)


def _boxes_of_cells(distances: Tensor) -> Tensor:
    """Convert distances of left, top, right and bottom side from each cell's centre to boxes, [B, boxes, 4, h, w]."""
    height, width = distances.shape[-2:]
    y = (torch.arange(height, device=distances.device, dtype=torch.float32)[:, None] + 0.5) / height
    x = (torch.arange(width, device=distances.device, dtype=torch.float32) + 0.5) / width
    left, top, right, bottom = distances.unbind(2)
    return torch.stack([x - left, y - top, x + right, y + bottom], 2)


HEADS: dict[str, type[AttentionHead | PooledHead]] = {"attention": AttentionHead, "pooled": PooledHead}
"""The heads by name."""
