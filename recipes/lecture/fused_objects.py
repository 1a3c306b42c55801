"""Objects of one class that touch: how many of them class masks can tell apart, and how many instances can.

Class masks of a perfect segmentation: each class once, true at every pixel. What can be counted in them are pieces that
hang together; touching objects of one class are one piece, and an object that another covers in its middle is two.

Command: python recipes/lecture/fused_objects.py
Data: 1,000 generated images with up to 3, 6 and 12 shapes.
"""

from typing import Any

import cv2
import numpy as np
from short_training import parse, save

from visiontasks import ShapesDataModule
from visiontasks.instance_masks import unpack_masks

IMAGES = 1000
MOST = (3, 6, 12)


def count(batch: Any, image: int, classes: int) -> tuple[int, int]:  # noqa: ANN401 - a batch with masks
    """Count the objects of an image that can be seen, and the pieces of its class masks."""
    labels = batch.labels[image]
    kept = labels >= 0
    windows, sizes = batch.mask_windows[image][kept].numpy(), batch.mask_sizes[image].tolist()
    masks = list(unpack_masks(batch.mask_bits[image].numpy(), windows))
    pieces = 0
    for kind in range(classes):
        whole = np.zeros(sizes, np.uint8)
        for (left, top, right, bottom), mask, label in zip(windows, masks, labels[kept].tolist(), strict=True):
            if label == kind:
                whole[top:bottom, left:right] |= mask
        pieces += cv2.connectedComponents(whole, connectivity=8)[0] - 1
    return sum(bool(mask.any()) for mask in masks), pieces


def main() -> None:
    """Count in images with more and more objects."""
    options = parse(__doc__, seeds=False)
    rows = []
    for most in MOST:
        size: dict[str, Any] = {"train_size": 1, "val_size": 1, "test_size": 16 if options.fast else IMAGES}
        data = ShapesDataModule("instances", max_objects=most, num_workers=0, **size)
        data.setup("test")
        counts = [
            count(batch, image, data.num_classes) for batch in data.test_dataloader() for image in range(len(batch.ids))
        ]
        objects, pieces = np.array(counts).T
        lost = np.maximum(objects - pieces, 0).sum() / objects.sum()
        wrong = (objects != pieces).mean()
        rows.append([most, int(objects.sum()), int(pieces.sum()), f"{100 * lost:.1f}", f"{100 * wrong:.1f}"])
    columns = [
        "most objects",
        "objects",
        "pieces of the class masks",
        "objects lost by fusing, %",
        "images whose number is wrong, %",
    ]
    save(options, __file__, [{"title": "Generated shapes", "columns": columns, "rows": rows}])


if __name__ == "__main__":
    main()
