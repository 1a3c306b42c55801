"""Plain stacks against residual ones at 10, 20, 40 and 80 layers: who cannot learn, and who overfits.

Blocks of two 3x3 convolutions with batch norm at 16 filters; the residual ones add their input (He et al., Deep
residual learning, CVPR 2016, figure 2).

Command: python recipes/lecture/depth.py --root FOLDER
Data: 5,000 of MNIST's training images, all test images; 300 steps of 50 images.
"""

from functools import partial
from typing import Any

from short_training import parse, save, spread, train
from torch import Tensor, nn

from visiontasks import Backbone, ClassificationTask

DEPTHS = (10, 20, 40, 80)
FILTERS = 16
STEPS = 300


def convolution(inputs: int, stride: int = 1) -> nn.Module:
    """Make a 3x3 convolution and its batch norm."""
    return nn.Sequential(nn.Conv2d(inputs, FILTERS, 3, stride, 1, bias=False), nn.BatchNorm2d(FILTERS))


class Stack(Backbone):
    """A stack at a quarter of the size of the image.

    Args:
        in_channels: Channels of the images.
        layers: Number of convolutions, even.
        residual: Whether every second one adds what went into the one before.
    """

    def __init__(self, in_channels: int, layers: int, residual: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(convolution(in_channels, 2), nn.ReLU(), convolution(FILTERS, 2), nn.ReLU())
        self.pairs = nn.ModuleList(
            nn.Sequential(convolution(FILTERS), nn.ReLU(), convolution(FILTERS)) for _ in range(layers // 2 - 1)
        )
        self.residual = residual
        self.channels, self.strides = (FILTERS,), (4,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map."""
        x = self.first(images)
        for pair in self.pairs:
            x = (pair(x) + x if self.residual else pair(x)).relu()
        return [x]


def stack(layers: int, residual: bool, classes: int, **options: Any) -> ClassificationTask:  # noqa: ANN401 - of the task
    """Make a classifier of a stack."""
    return ClassificationTask(classes, backbone=Stack(options["in_channels"], layers, residual), **options)


def main() -> None:
    """Train all stacks."""
    options = parse(__doc__)
    rows = []
    for layers in DEPTHS:
        for residual in (False, True):
            runs = [train(options, partial(stack, layers, residual), 5000, STEPS, seed)[0] for seed in options.seeds]
            losses, right, tested, seconds = (
                [getattr(one, key) for one in runs]
                for key in ("train_loss", "train_accuracy", "test_accuracy", "seconds")
            )
            kind = "residual" if residual else "plain"
            rows.append([layers, kind, spread(losses, 3), spread(right), spread(tested), spread(seconds, 0)])
    columns = ["layers", "stack", "training loss", "training images, %", "test images, %", "processor seconds"]
    save(options, __file__, [{"title": "Digits", "columns": columns, "rows": rows}])


if __name__ == "__main__":
    main()
