"""Zero-centred pixels: less the mean image, less the mean of the channel, scaled to -1 and 1, and as they are.

Batch norm would centre whatever comes out of the first layer, so that the network has none; with it the last column.

Command: python recipes/lecture/centring.py --root FOLDER
Data: 5,000 of MNIST's training images, all test images; 300 steps of 50 images.
"""

from functools import partial
from typing import Any

from short_training import parse, save, spread, train

from visiontasks import ClassificationTask

WAYS: list[tuple[str, Any]] = [
    ("0 to 255, as they are", {"mean": [0.0], "std": [1 / 255]}),
    ("0 to 1", {"mean": [0.0], "std": [1.0]}),
    ("-1 to 1", "unit"),
    ("less the mean of the channel", "channel_mean"),
    ("less the mean image", "image_mean"),
    ("less the mean, over the deviation", "dataset"),
]
STEPS = 300


def classifier(normalization: Any, norm: str, classes: int, **options: Any) -> ClassificationTask:  # noqa: ANN401 - a name or numbers
    """Make a classifier that brings pixels to a range."""
    if isinstance(normalization, dict):
        normalization = {key: values * options["in_channels"] for key, values in normalization.items()}
    stages = {"filters": [16, 32, 64], "depth": 2, "norm": norm}
    return ClassificationTask(classes, backbone="cnn", backbone_options=stages, normalization=normalization, **options)


def main() -> None:
    """Train with each range of pixels, without batch norm and with it."""
    options = parse(__doc__)
    rows = []
    for name, way in WAYS:
        row = [name]
        for norm in ("none", "batch"):
            runs = [train(options, partial(classifier, way, norm), 5000, STEPS, seed)[0] for seed in options.seeds]
            if norm == "none":
                row.append(spread([one.train_loss for one in runs], 3))
            row.append(spread([one.test_accuracy for one in runs]))
        rows.append(row)
    columns = ["pixels", "training loss", "test images, %", "with batch norm, %"]
    save(options, __file__, [{"title": "Digits", "columns": columns, "rows": rows}])


if __name__ == "__main__":
    main()
