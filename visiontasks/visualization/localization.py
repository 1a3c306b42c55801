"""Predicted and true boxes on their images."""

from collections.abc import Sequence

from visiontasks.types import LocalizationBatch, LocalizationPredictions
from visiontasks.visualization.captions import INK, draw_boxes
from visiontasks.visualization.pictures import RIGHT, WRONG, Picture, from_pillow, grid, resized

_TRUE = (255, 200, 0)
_LETTERS = 12


def draw_localization(
    batch: LocalizationBatch,
    predictions: LocalizationPredictions,
    class_names: Sequence[str],
    columns: int = 8,
    side: int = 200,
) -> Picture:
    """Draw images with the true box in yellow, and the predicted one with its class and score.

    The predicted box is green if its class is right and its IoU with the true box is at least 0.5, as in ILSVRC, and
    red otherwise. The title gives the IoU, and the true class if it differs, or says that the image has no object.

    Args:
        batch: The images and their objects.
        predictions: What was predicted of them.
        class_names: Names of the classes in the order of the labels.
        columns: Pictures side by side.
        side: Length of the longer side of each image, in pixels.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    images, titles, colors = [], [], []
    height, width = batch.images.shape[-2:]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    guesses = zip(predictions.labels.tolist(), predictions.scores.tolist(), predictions.boxes.tolist(), strict=True)
    truth = zip(batch.labels.tolist(), batch.boxes.tolist(), strict=True)
    for image, (label, box), (guess, score, predicted) in zip(batch.images, truth, guesses, strict=True):
        picture = resized(image, size)
        overlap = _iou(predicted, box)
        right = guess == label and overlap >= 0.5
        color = RIGHT if right else WRONG
        boxes, names, shades = [predicted], [f"{class_names[guess]} {score:.2f}"], [color]
        if label >= 0:
            boxes, names, shades = [*boxes, box], [*names, ""], [*shades, _TRUE]
        draw_boxes(picture, [[factor * value for value in one] for one in boxes], names, shades, _LETTERS)
        images.append(from_pillow(picture))
        wrong = f"\ntrue: {class_names[label]}" if label >= 0 and guess != label else ""
        titles.append(f"IoU {overlap:.2f}{wrong}" if label >= 0 else "no object")
        colors.append(color if label >= 0 else INK)
    return grid(images, titles, colors, columns, side)


def _iou(one: Sequence[float], other: Sequence[float]) -> float:
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    overlap = max(0, width) * max(0, height)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)) - overlap
    return overlap / union if union > 0 else 0.0
