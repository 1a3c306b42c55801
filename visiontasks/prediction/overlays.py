"""Predictions drawn onto their images."""

import torch
from torch.nn.functional import interpolate

from visiontasks.errors import ArgumentError
from visiontasks.prediction.results import Prediction
from visiontasks.visualization import Picture, class_color, from_pillow, overlay, to_rgb
from visiontasks.visualization.captions import draw_boxes, draw_legend, letter_height
from visiontasks.visualization.instances import paint_instances
from visiontasks.visualization.pictures import resized

_LEAST_SIDE = 160
"""Smaller pictures are magnified by a whole factor, so that there is room for what is written."""


def draw_prediction(prediction: Prediction, class_names: list[str]) -> Picture:
    """Draw a prediction onto its image, or an autoencoder's reconstruction beside it.

    The drawing shows boxes with class and score, with masks a colour for each, the colours of a mask of classes, or a
    list of classes.

    Args:
        prediction: With the pixels of its image (``keep_images``).
        class_names: Names of all classes.

    Returns:
        uint8 RGB at the size of the image, shape [3, H, W]; of an autoencoder [3, H, 2 W]. Images whose shorter side is
        below 160 pixels are magnified by a whole factor. What a task draws itself has any size.

    Raises:
        ArgumentError: If the prediction does not hold its image.
    """
    if prediction.picture is not None:
        return prediction.picture()
    if prediction.image is None:
        why = prediction.error or "keep it by predict_images(task, files, keep_images=True)"
        message = f"the prediction of {str(prediction.name)!r} has no image to be drawn onto: {why.removesuffix('.')}."
        raise ArgumentError(message)
    if prediction.reconstruction is not None:
        # Beside each other, and the second as large as the first.
        enlarged = interpolate(prediction.reconstruction[None].float(), prediction.image.shape[1:], mode="bilinear")
        return torch.cat([to_rgb(prediction.image), to_rgb(enlarged[0].round().to(torch.uint8))], 2)
    height, width = prediction.image.shape[1:]
    factor = -(-_LEAST_SIDE // min(height, width))
    picture = resized(prediction.image, (factor * width, factor * height))
    if prediction.mask is not None:
        mask = prediction.mask.repeat_interleave(factor, -2).repeat_interleave(factor, -1)
        return overlay(from_pillow(picture), mask, class_names)
    letters = letter_height(picture.size)
    titles = [f"{name} {score:.2f}" for name, score in zip(prediction.class_names, prediction.scores, strict=True)]
    colors = [class_color(label) for label in prediction.labels]
    if prediction.instances is not None:
        colors = [class_color(number) for number in range(len(titles))]
        masks = (prediction.instance(number) for number in reversed(range(len(titles))))
        picture = paint_instances(picture, masks, (height, width), colors[::-1])
    if prediction.boxes is None:
        draw_legend(picture, list(zip(titles, colors, strict=True)), letters)
    else:
        # The most probable one comes first.
        boxes = [[factor * value for value in box] for box in prediction.boxes]
        draw_boxes(picture, boxes, titles, colors, letters)
    return from_pillow(picture)
