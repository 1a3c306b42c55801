"""Bar charts of counts, and line charts of values with standard deviations."""

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from visiontasks.visualization.captions import INK, PAPER
from visiontasks.visualization.colors import class_color
from visiontasks.visualization.pictures import MARGIN, Picture, from_pillow

_GRID = (215, 215, 215)


def bar_chart(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> Picture:
    """Draw counts as horizontal bars, one group of bars for each name.

    Args:
        title: What is counted.
        names: One for each group.
        series: Counts of each series, such as a split, by its name; each has one count for each group.

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
    x = left
    for position, name in enumerate(series):
        draw.rectangle((x, 28, x + 10, 38), fill=class_color(position))
        draw.text((x + 15, 25), name, fill=INK, font=font)
        x += 40 + round(draw.textlength(name, font=font))
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
    return from_pillow(canvas)


def line_chart(
    title: str, names: Sequence[str], series: Mapping[str, Sequence[tuple[float, float]]], unit: str = ""
) -> Picture:
    """Draw values as lines over names, each value with an error bar of one standard deviation on both sides.

    Args:
        title: What is drawn.
        names: Places along the horizontal axis, at equal distances.
        series: Mean and standard deviation for each name, by the name of the series.
        unit: Written after the numbers of the vertical axis.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)
    left, top, width, height = 60, 40, 520, 360
    longest = round(max(small.getlength(name) for name in series))
    canvas = Image.new("RGB", (left + width + 30 + longest + MARGIN, top + height + 50), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, fill=INK, font=font)
    known = [point for points in series.values() for point in points]
    low, high = min(mean - std for mean, std in known), max(mean + std for mean, std in known)
    low, high = (low, high) if high > low else (low - 1, high + 1)

    def y_of(value: float) -> float:
        return top + height - 10 - (value - low) / (high - low) * (height - 20)

    for value in ticks(low, high):
        draw.line((left, y_of(value), left + width, y_of(value)), fill=_GRID)
        draw.text((left - 6, y_of(value)), f"{value:.4g}{unit}", fill=INK, font=small, anchor="rm")
    for position, (label, points) in enumerate(series.items()):
        color = class_color(position)
        # A few pixels apart, so that the error bars of one name do not hide each other.
        shift = 4 * (position - (len(series) - 1) / 2)
        xs = [left + width * (index + 0.5) / len(names) + shift for index in range(len(names))]
        drawn = [(x, y_of(mean)) for x, (mean, _) in zip(xs, points, strict=True)]
        draw.line(drawn, fill=color, width=2)
        for (x, y), (mean, std) in zip(drawn, points, strict=True):
            draw.line((x, y_of(mean - std), x, y_of(mean + std)), fill=color)
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=color)
        draw.rectangle(
            (left + width + 14, top + 18 * position, left + width + 24, top + 18 * position + 10), fill=color
        )
        draw.text((left + width + 30, top + 18 * position - 2), label, fill=INK, font=small)
    for index, name in enumerate(names):
        draw.text(
            (left + width * (index + 0.5) / len(names), top + height + 8), name, fill=INK, font=small, anchor="mt"
        )
    draw.rectangle((left, top, left + width, top + height), outline=INK)
    return from_pillow(canvas)


def ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Choose round numbers between two.

    Args:
        low: The lower one.
        high: The higher one.
        whole: Whether they are to be whole numbers.

    Returns:
        Two to seven numbers at distances of 1, 2 or 5 times a power of ten; if there are none, the two ends.

    Example:
        >>> ticks(0.13, 0.94)
        [0.2, 0.4, 0.6, 0.8]
        >>> ticks(1, 3, whole=True)
        [1.0, 2.0, 3.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / 5))
    step = next(power * factor for factor in (1, 2, 5, 10) if (high - low) / (power * factor) <= 5.5)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    numbers = [round(index * step, 12) for index in range(first, last + 1)]
    return numbers if len(numbers) > 1 or (whole and numbers) else [low, high]
