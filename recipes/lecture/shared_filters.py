"""One filter for all places of the image, or one for each place; on digits that stay in place, and on moved ones.

The filters of a locally connected layer are as large as those of a convolution, but each place has its own.

Command: python recipes/lecture/shared_filters.py --root FOLDER
Data: 5,000 of MNIST's training images, all test images, as they are, and rolled by up to 8 pixels; 400 steps of 50.
"""

from functools import partial
from typing import Any

import torch
from short_training import parse, save, spread, train
from torch import Tensor

from visiontasks import ClassificationTask

WAYS = (
    ("shared", ("convolution", "convolution")),
    ("one for each place", ("locally_connected", "locally_connected")),
    ("shared, then one for each place", ("convolution", "locally_connected")),
)
STEPS = 400
FARTHEST = 8


class Moved(ClassificationTask):
    """A classifier of images that are rolled to another place, each image always to the same."""

    def inputs(self, batch: Any) -> tuple[Tensor, ...]:  # noqa: ANN401 (of any data module)
        """Roll the images."""
        generators = [torch.Generator().manual_seed(int(number)) for number in batch.ids]
        moves = [torch.randint(-FARTHEST, FARTHEST + 1, (2,), generator=each).tolist() for each in generators]
        pairs = zip(batch.images, moves, strict=True)
        return (torch.stack([image.roll(tuple(move), (1, 2)) for image, move in pairs]),)


def main() -> None:
    """Train with shared filters, with own ones, and with both in turn."""
    options = parse(__doc__)
    rows = []
    for place, task in (("in place", ClassificationTask), ("moved", Moved)):
        for name, layers in WAYS:
            backbone = {"filters": [8, 16], "depth": 1, "kernel_size": 5, "layer": layers, "input_size": 28}
            make: Any = partial(task, backbone="cnn", backbone_options=backbone, pool_size=7)
            runs = [train(options, make, 5000, STEPS, seed)[0] for seed in options.seeds]
            columns = [[getattr(one, key) for one in runs] for key in ("train_accuracy", "test_accuracy")]
            seconds = spread([one.seconds for one in runs], 0)
            rows.append([f"{place}: {name}", f"{runs[0].weights:,}", *map(spread, columns), seconds])
    columns_of_table = ["digits: filters", "weights", "training images, %", "test images, %", "processor seconds"]
    save(options, __file__, [{"title": "Digits", "columns": columns_of_table, "rows": rows}])


if __name__ == "__main__":
    main()
