"""Drawings of segmentation masks."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.types import IGNORED, SegmentationBatch, SegmentationPredictions
from visiontasks.visualization.colors import IGNORED_COLOR, class_color
from visiontasks.visualization.pictures import INK, PAPER, Picture, from_pillow, grid, to_pillow, to_rgb

_LEGEND_FROM = 160  # pixels


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
        present = [value for value in torch.unique(labels).tolist() if value < len(class_names)]
        draw_legend(blended, [(class_names[value], class_color(value)) for value in present])
    return from_pillow(blended)


def draw_segmentation(
    batch: SegmentationBatch, predictions: SegmentationPredictions, class_names: Sequence[str]
) -> Picture:
    """Draw images, their masks and the predictions side by side, with the pixel accuracy above each prediction.

    Args:
        batch: The images and their masks.
        predictions: What was predicted of them.
        class_names: Names of the classes in the order of the values.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    tiles: list[Tensor] = []
    titles: list[str] = []
    height, width = batch.sizes.amax(0).tolist()
    for image, mask, labels in zip(batch.images, batch.masks, predictions.labels, strict=True):
        shown, truth, predicted = image[:, :height, :width], one_layer(mask), one_layer(labels)
        truth, predicted = truth[:height, :width], predicted[:height, :width]
        counted = truth != IGNORED
        right = (truth == predicted)[counted].float().mean().item() if counted.any() else 0.0
        # On a small image the legend would hide what it explains; then the title names the classes.
        legend = min(height, width) >= _LEGEND_FROM
        tiles += [
            to_rgb(shown),
            overlay(shown, truth, class_names, legend),
            overlay(shown, predicted, class_names, False),
        ]
        present = [class_names[value] for value in torch.unique(truth).tolist() if value < len(class_names)]
        named = ", ".join(name for name in present if name != "background")
        titles += ["image", "truth" if legend else named, f"{right:.0%} right"]
    return grid(tiles, titles, columns=3)


def blend(picture: Image.Image, mask: Tensor, class_names: Sequence[str]) -> Image.Image:
    """Colour the pixels of a mask, which is resized to the picture; a background stays as it is."""
    colors = np.array([IGNORED_COLOR if value == IGNORED else class_color(value) for value in range(256)], np.uint8)
    values = np.array(Image.fromarray(mask.numpy()).resize(picture.size, Image.Resampling.NEAREST))
    plain, blended = np.array(picture), np.array(Image.blend(picture, Image.fromarray(colors[values]), 0.5))
    if "background" in class_names:
        blended = np.where((values == class_names.index("background"))[:, :, None], plain, blended)
    return Image.fromarray(blended)


def draw_legend(picture: Image.Image, entries: Sequence[tuple[str, tuple[int, int, int]]], height: int = 11) -> None:
    """Write names, each beside its colour, into the upper left corner of a picture, in letters of the given height."""
    draw, font, line = ImageDraw.Draw(picture), ImageFont.load_default(height), height + 3
    for row, (name, color) in enumerate(entries):
        top = 2 + row * line
        draw.rectangle((2, top, line + 2 + draw.textlength(name, font=font), top + line - 1), fill=PAPER)
        draw.rectangle((4, top + 3, line - 3, top + line - 4), fill=color)
        draw.text((line, top), name, fill=INK, font=font)


def one_layer(mask: Tensor) -> Tensor:
    """Reduce a multilabel mask to the last class of each pixel; a pixel without classes is grey."""
    if mask.ndim == 2:
        return mask
    numbered = torch.where(mask == 1, torch.arange(len(mask), dtype=torch.uint8)[:, None, None], IGNORED)
    return torch.where(numbered == IGNORED, 0, numbered + 1).amax(0).to(torch.uint8) - 1
