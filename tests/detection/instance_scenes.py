"""Random batches of objects with masks."""

import numpy as np
import torch
from torch import Tensor

from visiontasks import InstanceBatch
from visiontasks.instance_masks import pack_masks


def ellipses(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """The ellipse in each box, as dense masks."""
    height, width = size
    y, x = torch.arange(height)[:, None] + 0.5, torch.arange(width) + 0.5
    middle, radius = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    across = (x - middle[:, 0, None, None]) / radius[:, 0, None, None]
    down = (y - middle[:, 1, None, None]) / radius[:, 1, None, None]
    return (across**2 + down**2 <= 1).to(torch.uint8)


def pack_all(masks: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Bits and windows of the masks of several images, padded."""
    packed = [pack_masks(np.asarray(each)) for each in masks]
    length, most = max(len(bits) for bits, _ in packed), max(len(windows) for _, windows in packed)
    bits, windows = torch.zeros(len(packed), length, dtype=torch.uint8), torch.zeros(len(packed), most, 4).long()
    for image, (own, around) in enumerate(packed):
        bits[image, : len(own)], windows[image, : len(around)] = torch.from_numpy(own), torch.from_numpy(around)
    return bits, windows


def random_instances(count: int, classes: int, size: tuple[int, int] = (48, 64), objects: int = 3) -> InstanceBatch:
    """Random images with ellipses anywhere in them."""
    height, width = size
    corner = torch.rand(count, objects, 2) * torch.tensor([width, height]) * 0.6
    boxes = torch.cat([corner, corner + torch.rand(count, objects, 2) * torch.tensor([width, height]) * 0.3 + 4], 2)
    boxes = torch.minimum(boxes, torch.tensor([width, height, width, height]).float())
    bits, windows = pack_all([ellipses(each, size) for each in boxes])
    sizes = torch.tensor([size] * count)
    return InstanceBatch(
        torch.randint(256, (count, 3, *size), dtype=torch.uint8),
        boxes,
        torch.randint(classes, (count, objects)),
        torch.zeros(count, objects, dtype=torch.bool),
        sizes,
        torch.ones(count, 2),
        torch.arange(count),
        (boxes[..., 2:] - boxes[..., :2]).prod(-1),
        bits,
        windows,
        sizes,
    )
