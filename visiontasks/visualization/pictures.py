"""Images side by side, with titles."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.types import ClassificationBatch, ClassificationPredictions
from visiontasks.visualization.labels import label_names

Picture = UInt8[Tensor, "channels height width"]

PAPER, INK, RIGHT, WRONG = (255, 255, 255), (40, 40, 40), (0, 110, 60), (200, 30, 30)
_TITLE, MARGIN = 20, 6


def to_rgb(image: Tensor) -> Picture:
    """Convert an image with any number of channels to RGB for display.

    Args:
        image: uint8 in 0 to 255 or float in 0 to 1, shape [C, H, W]. One channel is shown as grey; of more than three
            channels, the first three are shown.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8) if image.is_floating_point() else image
    return pixels[:1].expand(3, -1, -1) if len(pixels) < 3 else pixels[:3]


def to_pillow(image: Tensor) -> Image.Image:
    """Convert an image with any number of channels to a Pillow image in RGB, see :func:`to_rgb`."""
    return Image.fromarray(to_rgb(image).permute(1, 2, 0).contiguous().numpy())


def from_pillow(image: Image.Image) -> Picture:
    """Convert an RGB Pillow image to a picture."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def grid(
    images: Sequence[Tensor],
    titles: Sequence[str],
    colors: Sequence[tuple[int, int, int]] | None = None,
    columns: int = 8,
) -> Picture:
    """Lay out pictures with a title each.

    Args:
        images: Images of equal size, see :func:`to_rgb`; small ones are magnified by a whole factor.
        titles: One line each, cut to the width of the image.
        colors: RGB of each title; dark grey by default.
        columns: Pictures side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    height, width = images[0].shape[-2:]
    factor = max(1, round(96 / min(height, width)))
    height, width = height * factor, width * factor
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (columns * (width + MARGIN) + MARGIN, rows * (height + _TITLE + MARGIN) + MARGIN)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        left = MARGIN + index % columns * (width + MARGIN)
        top = MARGIN + index // columns * (height + _TITLE + MARGIN)
        while len(title) > 1 and draw.textlength(title, font=font) > width:
            title = title[:-2] + "…"
        draw.text((left, top), title, fill=INK if colors is None else colors[index], font=font)
        canvas.paste(to_pillow(image).resize((width, height), Image.Resampling.NEAREST), (left, top + _TITLE))
    return from_pillow(canvas)


def shelve(pictures: Sequence[Tensor], width: int = 1120) -> Picture:
    """Put pictures of any sizes side by side and, where they are too wide for that, below one another, on white.

    Args:
        pictures: uint8 RGB.
        width: Maximum width of the result in pixels, unless one picture is wider.

    Example:
        >>> one, other = torch.zeros(3, 4, 6, dtype=torch.uint8), torch.zeros(3, 5, 2, dtype=torch.uint8)
        >>> shelve([one, other]).shape, shelve([one, other], width=7).shape
        (torch.Size([3, 5, 8]), torch.Size([3, 9, 6]))
    """
    shelves: list[list[Tensor]] = [[]]
    for picture in pictures:
        if shelves[-1] and sum(other.shape[2] for other in shelves[-1]) + picture.shape[2] > width:
            shelves.append([])
        shelves[-1].append(picture)
    rows = [
        torch.cat([_paper(one, max(x.shape[1] for x in shelf), one.shape[2]) for one in shelf], 2) for shelf in shelves
    ]
    return torch.cat([_paper(row, row.shape[1], max(other.shape[2] for other in rows)) for row in rows], 1)


def _paper(picture: Tensor, height: int, width: int) -> Tensor:
    return F.pad(picture, (0, width - picture.shape[2], 0, height - picture.shape[1]), value=PAPER[0])


def draw_classification(
    batch: ClassificationBatch, predictions: ClassificationPredictions, class_names: Sequence[str], columns: int = 8
) -> Picture:
    """Draw images with the predicted class and its probability: green when right, else red with the true class.

    For multilabel images the predicted classes are named, without their probabilities.

    Args:
        batch: The images and their classes.
        predictions: What was predicted of them.
        class_names: Names of the classes in the order of the labels.
        columns: Pictures side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    titles, colors = [], []
    for labels, predicted, score in zip(batch.labels, predictions.labels, predictions.scores, strict=True):
        wrong = bool((labels != predicted).any())
        probability = "" if predicted.ndim else f" {score:.2f}"
        true = f" ({label_names(labels, class_names)})" if wrong else ""
        titles.append(label_names(predicted, class_names) + probability + true)
        colors.append(WRONG if wrong else RIGHT)
    return grid(list(batch.images), titles, colors, columns)
