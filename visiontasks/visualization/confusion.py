"""Drawings of confusion matrices."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.visualization.captions import INK, PAPER
from visiontasks.visualization.pictures import MARGIN, Picture, from_pillow

_BLUE = np.array([8, 69, 148])
_SIDE, _LEAST_SIDE = 960, 6
_NUMBERS = 34
"""Minimum side of a cell that a number fits into."""


def draw_confusion(counts: Int64[Tensor, "actual predicted"], class_names: Sequence[str], title: str = "") -> Picture:
    """Draw a confusion matrix: a row for each true class, a column for each predicted one.

    A cell is darker the larger its fraction of the row is; the numbers are counts.

    Args:
        counts: Number of samples for each true and predicted class.
        class_names: Names of rows and columns.
        title: Written above.

    Returns:
        uint8 RGB, shape [3, H, W].

    Example:
        >>> import torch
        >>> draw_confusion(torch.tensor([[8, 2], [0, 5]]), ["cat", "dog"], "val").shape[0]
        3
    """
    classes = len(class_names)
    side = min(64, max(_LEAST_SIDE, _SIDE // classes))
    font = ImageFont.load_default(min(14, max(8, side - 2)))
    longest = max(round(font.getlength(name)) for name in class_names) if side >= 10 else 0
    left = top = longest + 3 * MARGIN
    heading = 24
    text, text_font = f"{title} (rows: true, columns: predicted)".strip(), ImageFont.load_default(13)
    width = max(left + classes * side, MARGIN + round(text_font.getlength(text))) + MARGIN
    canvas = Image.new("RGB", (width, heading + top + classes * side + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), text, fill=INK, font=text_font)
    shares = (counts.double() / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    for row in range(classes):
        y = heading + top + row * side
        if longest:
            draw.text((left - MARGIN, y + side / 2), class_names[row], fill=INK, font=font, anchor="rm")
            _write_upwards(canvas, (left + row * side, heading + top - MARGIN), class_names[row], font, side)
        for column in range(classes):
            share = shares[row, column]
            color = tuple(np.rint(255 + (_BLUE - 255) * share).astype(int).tolist())
            x = left + column * side
            draw.rectangle((x, y, x + side - 2, y + side - 2), fill=color)
            if side >= _NUMBERS and counts[row, column]:
                number = _short(int(counts[row, column]))
                ink = PAPER if share > 0.5 else INK
                draw.text((x + side / 2, y + side / 2), number, fill=ink, font=ImageFont.load_default(11), anchor="mm")
    return from_pillow(canvas)


_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _write_upwards(canvas: Image.Image, corner: tuple[int, int], name: str, font: _Font, side: int) -> None:
    """Write a name from below, its end at the corner of a column."""
    box = font.getbbox(name)
    text = Image.new("RGB", (max(1, round(box[2])), max(1, round(box[3]))), PAPER)
    ImageDraw.Draw(text).text((0, 0), name, fill=INK, font=font)
    turned = text.rotate(90, expand=True)
    canvas.paste(turned, (corner[0] + max(0, (side - turned.width) // 2), corner[1] - turned.height))


def _short(number: int) -> str:
    for factor, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= 10 * factor:
            return f"{number // factor}{letter}"
    return str(number)
