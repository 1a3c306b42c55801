"""Drawings of segmentation masks."""

from collections.abc import Collection, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from visiontasks.types import IGNORED, SegmentationBatch, SegmentationPredictions
from visiontasks.visualization.captions import Color, add_legend, draw_legend, letter_height
from visiontasks.visualization.colors import IGNORED_COLOR, class_color
from visiontasks.visualization.pictures import Picture, fit_size, from_pillow, grid, resized, to_pillow

_SIDE = 480


def voc_color_map() -> UInt8[np.ndarray, "256 3"]:
    """Compute the PASCAL VOC colours of the classes 0 to 255: the bits of the class, distributed over red, green, blue.

    Example:
        >>> voc_color_map()[[0, 1, 2, 255]].tolist()
        [[0, 0, 0], [128, 0, 0], [0, 128, 0], [224, 224, 192]]
    """
    labels = np.arange(256)
    colors = np.zeros((256, 3), np.int64)
    for shift in range(8):
        for channel in range(3):
            colors[:, channel] |= (labels >> (3 * shift + channel) & 1) << (7 - shift)
    return colors.astype(np.uint8)


def index_image(labels: UInt8[Tensor, "height width"]) -> Image.Image:
    """Make a palette image whose pixels are the classes and whose palette is the colour map of PASCAL VOC.

    Args:
        labels: Class of each pixel.

    Returns:
        The image; saved as PNG, it reads as a mask.
    """
    image = Image.fromarray(labels.numpy())
    image.putpalette(voc_color_map().flatten().tolist())
    return image


def overlay(
    image: UInt8[Tensor, "channels height width"],
    labels: UInt8[Tensor, "height width"] | UInt8[Tensor, "classes height width"],
    class_names: Sequence[str],
    legend: bool = True,
) -> Picture:
    """Blend the colours of the classes into an image; a class called ``background`` stays as it is.

    Args:
        image: The image, see :func:`~visiontasks.visualization.pictures.to_rgb`.
        labels: Class of each pixel; 255 is grey. Multilabel: whether a pixel belongs to each class; the last of several
            is shown.
        class_names: Names of the values.
        legend: Whether to write the names of the classes that occur.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    labels = one_layer(labels)
    blended = blend(to_pillow(image), labels, class_names)
    if legend:
        draw_legend(blended, legend_of(labels.unique().tolist(), class_names), letter_height(blended.size))
    return from_pillow(blended)


def draw_segmentation(
    batch: SegmentationBatch, predictions: SegmentationPredictions, class_names: Sequence[str]
) -> Picture:
    """Draw images, their masks and the predictions side by side, with the pixel accuracy above each prediction.

    Padding is left out, and the classes that occur are named below.

    Args:
        batch: The images and their masks.
        predictions: What was predicted of them.
        class_names: Names of the classes in the order of the values.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    tiles: list[Tensor] = []
    titles: list[str] = []
    present: set[int] = set()
    fields = zip(batch.images, batch.masks, predictions.labels, batch.sizes.tolist(), strict=True)
    for image, mask, labels, (height, width) in fields:
        # Padding is no part of the image.
        shown, truth, predicted = image[:, :height, :width], one_layer(mask), one_layer(labels)
        truth, predicted = truth[:height, :width], predicted[:height, :width]
        counted = truth != IGNORED
        right = f"{(truth == predicted)[counted].float().mean().item():.0%} right" if counted.any() else "no truth"
        picture = resized(shown, fit_size(shown, _SIDE))
        tiles += [from_pillow(one) for one in (picture, *(blend(picture, m, class_names) for m in (truth, predicted)))]
        titles += ["image", "truth", right]
        present |= {*truth.unique().tolist(), *predicted.unique().tolist()}
    return from_pillow(
        add_legend(to_pillow(grid(tiles, titles, columns=3, side=_SIDE)), legend_of(present, class_names))
    )


def legend_of(values: Collection[int], class_names: Sequence[str]) -> list[tuple[str, Color]]:
    """Name the colours of the values of a mask; a background, which keeps its own colours, is left out."""
    entries = [(name, class_color(value)) for value, name in enumerate(class_names) if value in values]
    entries += [("ignored", IGNORED_COLOR)] if IGNORED in values else []
    return [entry for entry in entries if entry[0] != "background"]


def blend(picture: Image.Image, mask: Tensor, class_names: Sequence[str]) -> Image.Image:
    """Colour the pixels of a mask, which is resized to the picture; a background stays as it is."""
    colors = np.array([IGNORED_COLOR if value == IGNORED else class_color(value) for value in range(256)], np.uint8)
    values = np.array(Image.fromarray(mask.numpy()).resize(picture.size, Image.Resampling.NEAREST))
    plain, blended = np.array(picture), np.array(Image.blend(picture, Image.fromarray(colors[values]), 0.5))
    if "background" in class_names:
        blended = np.where((values == class_names.index("background"))[:, :, None], plain, blended)
    return Image.fromarray(blended)


def one_layer(mask: Tensor) -> Tensor:
    """Reduce a multilabel mask to the last class of each pixel; a pixel without classes is grey."""
    if mask.ndim == 2:
        return mask
    numbered = torch.where(mask == 1, torch.arange(len(mask), dtype=torch.uint8)[:, None, None], IGNORED)
    return torch.where(numbered == IGNORED, 0, numbered + 1).amax(0).to(torch.uint8) - 1
