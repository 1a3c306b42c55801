"""Predictions drawn onto their images."""

import torch
from torch.nn.functional import interpolate

from visiontasks.prediction.results import Prediction
from visiontasks.visualization import Picture, class_color, from_pillow, overlay, to_pillow, to_rgb
from visiontasks.visualization.annotations import draw_box
from visiontasks.visualization.masks import draw_legend

_FONT = 11
"""Minimum height of letters in pixels; it grows with the size of the image."""


def draw_prediction(prediction: Prediction, class_names: list[str]) -> Picture:
    """Draw a prediction onto its image, or an autoencoder's reconstruction beside it.

    The drawing shows boxes with class and score, the colours of a mask, or a list of classes.

    Args:
        prediction: With the pixels of its image (``keep_images``).
        class_names: Names of all classes.

    Returns:
        uint8 RGB at the size of the image, shape [3, H, W]; of an autoencoder [3, H, 2 W]. What a task draws itself has
        any size.
    """
    if prediction.picture is not None:
        return prediction.picture()
    assert prediction.image is not None
    if prediction.reconstruction is not None:
        # Beside each other, and the second as large as the first.
        resized = interpolate(prediction.reconstruction[None].float(), prediction.image.shape[1:], mode="bilinear")
        return torch.cat([to_rgb(prediction.image), to_rgb(resized[0].round().to(torch.uint8))], 2)
    if prediction.mask is not None:
        return overlay(prediction.image, prediction.mask, class_names)
    picture = to_pillow(prediction.image)
    font = max(_FONT, round(max(picture.size) / 50))
    titles = [f"{name} {score:.2f}" for name, score in zip(prediction.class_names, prediction.scores, strict=True)]
    colors = [class_color(label) for label in prediction.labels]
    if prediction.boxes is None:
        draw_legend(picture, list(zip(titles, colors, strict=True)), font)
    else:
        # The most probable one is drawn last, so that it is on top.
        for box, title, color in reversed(list(zip(prediction.boxes, titles, colors, strict=True))):
            draw_box(picture, box, title, color, font)
    return from_pillow(picture)
