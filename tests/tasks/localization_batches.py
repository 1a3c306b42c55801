"""Batches for the tests of localization."""

import torch

from visiontasks import LocalizationBatch


def random_batch(
    count: int, classes: int, channels: int = 3, size: tuple[int, int] = (24, 32), empty: tuple[int, ...] = ()
) -> LocalizationBatch:
    """Make noise with boxes of any place; the images at ``empty`` have no object."""
    height, width = size
    corners = torch.rand(count, 2) * 0.5
    boxes = torch.cat([corners, corners + 0.2 + torch.rand(count, 2) * 0.3], 1)
    labels = torch.arange(count) % classes
    labels[list(empty)] = -1
    return LocalizationBatch(
        torch.randint(256, (count, channels, *size), dtype=torch.uint8),
        labels,
        boxes * torch.tensor([width, height, width, height]) * (labels >= 0)[:, None],
        torch.tensor([size]).expand(count, 2),
        torch.ones(count, 2),
        torch.arange(count) + 40,
    )
