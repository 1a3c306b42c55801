"""Images side by side, with titles."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.types import ClassificationBatch, ClassificationPredictions
from visiontasks.visualization.captions import INK, PAPER, Color, break_lines
from visiontasks.visualization.labels import label_names

Picture = UInt8[Tensor, "channels height width"]

RIGHT, WRONG = (0, 110, 60), (200, 30, 30)
MARGIN, SIDE = 6, 320
_LETTERS, _LINE, _LEAST_SIDE = 13, 16, 128


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


def fit_size(image: Tensor, side: int = SIDE) -> tuple[int, int]:
    """Choose the size at which an image is shown: small ones magnified by a whole factor, large ones reduced.

    Args:
        image: An image, shape [C, H, W].
        side: Maximum length of its longer side in pixels.

    Returns:
        Width and height in pixels, as Pillow orders them.

    Example:
        >>> fit_size(torch.zeros(1, 28, 28)), fit_size(torch.zeros(3, 224, 300)), fit_size(torch.zeros(3, 3500, 1750))
        ((140, 140), (300, 224), (160, 320))
    """
    height, width = image.shape[-2:]
    factor: float = max(1, round(_LEAST_SIDE / min(height, width)))
    if factor * max(height, width) > side:
        factor = side / max(height, width)
    return max(1, round(width * factor)), max(1, round(height * factor))


def resized(image: Tensor, size: tuple[int, int]) -> Image.Image:
    """Bring an image to a size for display; its pixels remain visible where it is magnified much.

    Args:
        image: See :func:`to_rgb`.
        size: Width and height in pixels.
    """
    method = Image.Resampling.NEAREST if size[0] >= 2 * image.shape[-1] else Image.Resampling.BILINEAR
    return to_pillow(image).resize(size, method)


def grid(
    images: Sequence[Tensor],
    titles: Sequence[str],
    colors: Sequence[Color] | None = None,
    columns: int = 8,
    side: int = SIDE,
) -> Picture:
    """Lay out pictures with a title each.

    Args:
        images: Images of any sizes, see :func:`to_rgb`; small ones are magnified, large ones reduced.
        titles: Of any length: they are broken into as many lines as the width of the images asks for.
        colors: RGB of each title; dark grey by default.
        columns: Pictures side by side.
        side: Maximum length of the longer side of an image in pixels.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    sizes = [fit_size(image, side) for image in images]
    columns = min(columns, len(images))
    width = max(width for width, _ in sizes)
    lines = [break_lines(title, width, _LETTERS) for title in titles]
    rows = [range(start, min(start + columns, len(images))) for start in range(0, len(images), columns)]
    texts = [_LINE * max(len(lines[index]) for index in row) + _LINE // 4 for row in rows]
    heights = [max(sizes[index][1] for index in row) for row in rows]
    total = sum(texts) + sum(heights) + MARGIN * (len(rows) + 1)
    canvas = Image.new("RGB", (columns * (width + MARGIN) + MARGIN, total), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(_LETTERS)
    top = MARGIN
    for row, text, height in zip(rows, texts, heights, strict=True):
        for column, index in enumerate(row):
            left, ink = MARGIN + column * (width + MARGIN), INK if colors is None else colors[index]
            for number, line in enumerate(lines[index]):
                draw.text((left, top + number * _LINE), line, fill=ink, font=font)
            canvas.paste(resized(images[index], sizes[index]), (left, top + text))
        top += text + height + MARGIN
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
        true = f"\ntrue: {label_names(labels, class_names)}" if wrong else ""
        titles.append(label_names(predicted, class_names) + probability + true)
        colors.append(WRONG if wrong else RIGHT)
    return grid(list(batch.images), titles, colors, columns)
