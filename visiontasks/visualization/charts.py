"""Counts as bars."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from visiontasks.visualization.colors import class_color
from visiontasks.visualization.pictures import INK, MARGIN, PAPER, Picture


def bar_chart(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> Picture:
    """Draw counts as horizontal bars, one group of bars for each name.

    Args:
        title: What is counted.
        names: One for each group.
        series: Counts by what they are of, such as splits; each has one count for each name.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    font, small = ImageFont.load_default(13), ImageFont.load_default(10)
    bar, left, length = 12, 180, 420
    group = bar * len(series) + 6
    canvas = Image.new("RGB", (left + length + 90, 60 + group * len(names)), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, fill=INK, font=font)
    most = max((max(counts, default=0) for counts in series.values()), default=0) or 1
    place = left
    for position, name in enumerate(series):
        draw.rectangle((place, 28, place + 10, 38), fill=class_color(position))
        draw.text((place + 15, 25), name, fill=INK, font=font)
        place += 40 + round(draw.textlength(name, font=font))
    for row, name in enumerate(names):
        top = 50 + row * group
        while len(name) > 1 and draw.textlength(name, font=font) > left - 2 * MARGIN:
            name = name[:-2] + "…"
        draw.text((left - MARGIN, top + (group - 6) / 2), name, fill=INK, font=font, anchor="rm")
        for position, counts in enumerate(series.values()):
            end = left + round(length * counts[row] / most)
            y = top + position * bar
            if counts[row]:
                draw.rectangle((left, y, end, y + bar - 2), fill=class_color(position))
            draw.text((end + 4, y + bar / 2), f"{counts[row]:,.0f}", fill=INK, font=small, anchor="lm")
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)
