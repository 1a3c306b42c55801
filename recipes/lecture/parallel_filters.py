"""Filters of one size, filters of several sizes side by side, and 1x1 convolutions that make them cheap.

The modules are those of GoogLeNet (Szegedy et al., Going deeper with convolutions, CVPR 2015, figure 2): naive, with
filters of 1x1, 3x3 and 5x5 and a pooling beside one another, and with reductions by 1x1 convolutions before the larger
filters.

Command: python recipes/lecture/parallel_filters.py --root FOLDER
Data: 5,000 of MNIST's training images, all test images; 400 steps of 50 images.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from short_training import parse, save, spread, train
from torch import Tensor, nn

from visiontasks import Backbone, ClassificationTask

STEPS = 400
WIDTH = 64


def convolution(inputs: int, outputs: int, side: int) -> nn.Module:
    """Make a convolution that keeps the size of the map, its batch norm and ReLU."""
    filters = nn.Conv2d(inputs, outputs, side, padding=side // 2, bias=False)
    return nn.Sequential(filters, nn.BatchNorm2d(outputs), nn.ReLU())


class Parallel(nn.Module):
    """Branches beside one another, whose maps are joined."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Join what the branches compute."""
        return torch.cat([branch(x) for branch in self.branches], 1)


def naive() -> nn.Module:
    """Make a module without reductions; the pooling keeps a quarter of the map by a 1x1 convolution."""
    quarter = WIDTH // 4
    pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(WIDTH, quarter, 1))
    return Parallel(*(convolution(WIDTH, quarter, side) for side in (1, 3, 5)), pooled)


def reduced() -> nn.Module:
    """Make a module with reductions to an eighth before 3x3 and 5x5."""
    quarter, least = WIDTH // 4, WIDTH // 8
    pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(WIDTH, quarter, 1))
    larger = [nn.Sequential(convolution(WIDTH, least, 1), convolution(least, quarter, side)) for side in (3, 5)]
    return Parallel(convolution(WIDTH, quarter, 1), *larger, pooled)


WAYS: list[tuple[str, Callable[[], nn.Module]]] = [
    ("1x1", partial(convolution, WIDTH, WIDTH, 1)),
    ("3x3", partial(convolution, WIDTH, WIDTH, 3)),
    ("5x5", partial(convolution, WIDTH, WIDTH, 5)),
    ("1x1, 3x3, 5x5 and pooling side by side", naive),
    ("the same with 1x1 reductions", reduced),
]


class Modules(Backbone):
    """A stem of stride 4, then three modules.

    Args:
        in_channels: Channels of the images.
        make: Makes a module.
    """

    def __init__(self, in_channels: int, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(in_channels, WIDTH, 5, 4, 2, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
        self.stages = nn.Sequential(*(make() for _ in range(3)))
        self.channels, self.strides = (WIDTH,), (4,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map."""
        return [self.stages(self.stem(images))]


def classifier(make: Callable[[], nn.Module], classes: int, **options: Any) -> ClassificationTask:  # noqa: ANN401 - of the task
    """Make a classifier of three modules."""
    return ClassificationTask(classes, backbone=Modules(options["in_channels"], make), **options)


def main() -> None:
    """Train with each kind of module."""
    options = parse(__doc__)
    rows = []
    for name, make in WAYS:
        runs = [train(options, partial(classifier, make), 5000, STEPS, seed)[0] for seed in options.seeds]
        columns = [[getattr(one, key) for one in runs] for key in ("train_accuracy", "test_accuracy")]
        weights = sum(value.numel() for _ in range(3) for value in make().parameters())
        rows.append([name, f"{weights:,}", *map(spread, columns), spread([one.seconds for one in runs], 0)])
    table = ["module", "weights of three", "training images, %", "test images, %", "processor seconds"]
    save(options, __file__, [{"title": "Digits", "columns": table, "rows": rows}])


if __name__ == "__main__":
    main()
