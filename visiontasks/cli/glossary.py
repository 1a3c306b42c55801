"""What the figures of a table are, for somebody who meets them for the first time."""

from collections.abc import Iterable

MEANINGS = {
    "loss": "what the training lowers",
    "accuracy": "share of the images (of masks: pixels) whose class is right",
    "accuracy_top5": "share of the images whose class is among the five with the highest scores",
    "f1": "mean over the classes of a score that wrong and missed images of a class lower alike, 1 at best",
    "calibration_error": "how far the network's scores are from how often it is right, 0 at best",
    "localization_error": "share of the images whose class is wrong or whose box overlaps by less than half",
    "mean_iou": "how much the boxes overlap (intersection over union), 1 at best",
    "map": "average precision of the boxes as COCO has it, over overlaps of 0.5 to 0.95, 1 at best",
    "map_50": "average precision with an overlap of 0.5",
    "mask_map": "average precision of the masks, likewise",
    "mar_100": "share of the objects that are found by 100 boxes an image, over the same overlaps",
    "miou": "mean over the classes of the pixels' intersection over union, 1 at best",
    "mse": "mean squared error of the pixels, from 0 to 1",
    "psnr": "peak signal-to-noise ratio of the reconstructions in decibel, the higher the better",
    "ssim": "structural similarity of the reconstructions, 1 at best",
    "knn_accuracy": "share of the images whose nearest neighbours by code are of their class",
}


def explain(names: Iterable[str]) -> str | None:
    """Say in a line what figures are.

    Args:
        names: Names of metrics, ``STAGE/NAME``.

    Returns:
        The line; None if nothing is known of them.
    """
    known = {name.partition("/")[2] for name in names}
    told = [f"{name}: {meaning}" for name, meaning in MEANINGS.items() if name in known]
    return "; ".join(told) + "." if told else None
