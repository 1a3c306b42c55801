"""Fully connected layers against convolutions on digits: weights, accuracy, overfitting, and digits that are shifted.

Command: python recipes/lecture/fully_connected.py --root FOLDER
Data: 1,000 and 10,000 of MNIST's training images, all test images; 1,000 steps of 50 images.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from short_training import parse, save, score, spread, train
from torch import Tensor, nn

from visiontasks import Backbone, ClassificationTask, create_backbone

SHIFT = 3
STEPS = 1000


class FullyConnected(Backbone):
    """Hidden layers that read all pixels; the map has one place.

    Args:
        in_channels: Channels of the images.
        image_size: Height and width of the images.
        widths: Units of each layer.
    """

    def __init__(self, in_channels: int, image_size: tuple[int, int], widths: tuple[int, ...]) -> None:
        super().__init__()
        inputs = in_channels * image_size[0] * image_size[1]
        layers: list[nn.Module] = [nn.Flatten()]
        for units in widths:
            layers += [nn.Linear(inputs, units), nn.ReLU()]
            inputs = units
        self.layers = nn.Sequential(*layers)
        self.channels, self.strides = (inputs,), (32,)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the map."""
        return [self.layers(images)[..., None, None]]


def connected(widths: tuple[int, ...], classes: int, **options: Any) -> ClassificationTask:  # noqa: ANN401 - of the task
    """Make a classifier of fully connected layers."""
    backbone = FullyConnected(options["in_channels"], options["image_size"], widths)
    return ClassificationTask(classes, backbone=backbone, **options)


def convolutional(classes: int, **options: Any) -> ClassificationTask:  # noqa: ANN401 - of the task
    """Make a classifier of three convolutions, whose last maps are averaged."""
    backbone = create_backbone("cnn", options["in_channels"], filters=[32, 64, 64], depth=1, norm="none")
    return ClassificationTask(classes, backbone=backbone, **options)


NETWORKS: list[tuple[str, Callable[..., ClassificationTask]]] = [
    ("fully connected, 300 units", partial(connected, (300,))),
    ("fully connected, 1,000 and 1,000 units", partial(connected, (1000, 1000))),
    ("three convolutions, 32, 64 and 64 filters", convolutional),
]


def shifted(images: Tensor) -> Tensor:
    """Move the image by some pixels to the right; what comes in is black."""
    return torch.nn.functional.pad(images, (SHIFT, 0, 0, 0))[..., :-SHIFT]


def main() -> None:
    """Train all networks with few and with more images."""
    options = parse(__doc__)
    tables = []
    for images in (1000, 10_000):
        rows = []
        for name, make in NETWORKS:
            outcomes, moved = [], []
            for seed in options.seeds:
                outcome, task, data = train(options, make, images, STEPS, seed)
                outcomes.append(outcome)
                moved.append(score(task, data.test_dataloader(), shifted)[0])
            columns = [[getattr(one, key) for one in outcomes] for key in ("train_accuracy", "test_accuracy")]
            weights, seconds = f"{outcomes[0].weights:,}", [one.seconds for one in outcomes]
            rows.append([name, weights, *map(spread, columns), spread(moved), spread(seconds, 0)])
        columns_of_table = [
            *("network", "weights", "training images, %", "test images, %"),
            *(f"test images {SHIFT} pixels to the right, %", "processor seconds"),
        ]
        title = f"{images:,} training images"
        tables.append({"title": title, "columns": columns_of_table, "rows": rows})
    save(options, __file__, tables)


if __name__ == "__main__":
    main()
