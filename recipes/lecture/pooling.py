"""Max against average pooling, over 2 x 2 and 4 x 4 pixels, and convolutions with a stride in their place.

Command: python recipes/lecture/pooling.py --root FOLDER
Data: 5,000 of MNIST's training images, all test images; 600 steps of 50 images.
"""

from functools import partial
from typing import Any

from short_training import parse, save, spread, train

from visiontasks import ClassificationTask

# The maps behind two stages have 7 x 7 places with 2 x 2, and 2 x 2 with 4 x 4; the head reads 2 x 2 of all, so that
# places tell something, however little of the image each of them sees.
STAGES: dict[str, Any] = {"filters": [32, 64], "depth": 1}
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("max, 2 x 2", {"pool": "max"}),
    ("average, 2 x 2", {"pool": "average"}),
    ("max, 4 x 4", {"pool": "max", "pool_size": 4}),
    ("average, 4 x 4", {"pool": "average", "pool_size": 4}),
    ("none, stride 2", {"pool": "none", "stride": 2}),
]
STEPS = 600


def main() -> None:
    """Train with each way of making maps smaller."""
    options = parse(__doc__)
    rows = []
    for name, way in WAYS:
        make: Any = partial(ClassificationTask, backbone="cnn", backbone_options={**STAGES, **way}, pool_size=2)
        runs = [train(options, make, 5000, STEPS, seed)[0] for seed in options.seeds]
        columns = [[getattr(one, key) for one in runs] for key in ("train_accuracy", "test_accuracy")]
        rows.append([name, *map(spread, columns), spread([one.seconds for one in runs], 0)])
    columns_of_table = ["pooling", "training images, %", "test images, %", "processor seconds"]
    save(options, __file__, [{"title": "Digits", "columns": columns_of_table, "rows": rows}])


if __name__ == "__main__":
    main()
