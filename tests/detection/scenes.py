"""Random boxes and objects."""

import torch
from jaxtyping import Float
from torch import Tensor

from visiontasks.detection.matcher import Targets


def random_boxes(*shape: int, side: float = 100.0, least: float = 1.0) -> Float[Tensor, "*shape 4"]:
    """Boxes anywhere in a square."""
    corner = torch.rand(*shape, 2) * side * 0.7
    return torch.cat([corner, corner + least + torch.rand(*shape, 2) * side * 0.3], -1)


def random_targets(counts: list[int], classes: int = 3, side: float = 100.0) -> Targets:
    """Objects of images, so many in each."""
    most = max(counts)
    present = torch.arange(most) < torch.tensor(counts)[:, None]
    boxes = torch.where(present[..., None], random_boxes(len(counts), most, side=side), 0.0)
    labels = torch.where(present, torch.randint(classes, (len(counts), most)), -1)
    return Targets(boxes, labels, torch.zeros_like(present))
