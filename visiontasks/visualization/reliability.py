"""Reliability diagrams: whether a classifier is right as often as it says."""

from jaxtyping import Float, Shaped
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.visualization.captions import INK, PAPER
from visiontasks.visualization.pictures import MARGIN, Picture, from_pillow

_BAR, _GAP, _GRID = (70, 110, 180), (230, 130, 110), (215, 215, 215)
_SIDE, _LEFT, _TOP, _SHARES = 300, 46, 40, 70


def reliability_diagram(
    counts: Shaped[Tensor, " bins"],
    confidence: Float[Tensor, " bins"],
    accuracy: Float[Tensor, " bins"],
    title: str = "",
) -> Picture:
    """Draw the accuracy of predictions over their confidence, and below it the number of predictions in each bin.

    Guo et al. 2017, figure 1: a bar is the accuracy of a bin of predictions, and red is the difference from their mean
    confidence; if they are calibrated, the bars end on the diagonal.

    Args:
        counts: Number of predictions in each bin; bins have equal width.
        confidence: Their mean confidence; any value for an empty bin.
        accuracy: Fraction of them that is right; any value for an empty bin.
        title: One line above it, such as the metrics.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    font, small = ImageFont.load_default(13), ImageFont.load_default(11)
    bottom, base = _TOP + _SIDE, _TOP + _SIDE + 44 + _SHARES
    canvas = Image.new("RGB", (_LEFT + _SIDE + 24, base + 40), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, fill=INK, font=font)
    bins, total = len(counts), max(float(counts.sum()), 1)
    for step in range(6):
        share, x, y = step / 5, _LEFT + step * _SIDE // 5, bottom - step * _SIDE // 5
        draw.line((_LEFT, y, _LEFT + _SIDE, y), fill=_GRID)
        draw.line((x, _TOP, x, bottom), fill=_GRID)
        draw.text((_LEFT - 6, y), f"{share:.1f}", fill=INK, font=small, anchor="rm")
        draw.text((x, base + 4), f"{share:.1f}", fill=INK, font=small, anchor="mt")
    rows = zip(counts.tolist(), confidence.tolist(), accuracy.tolist(), strict=True)
    for index, (count, sure, right) in enumerate(rows):
        if not count:
            continue
        left, end = _LEFT + index * _SIDE / bins + 1, _LEFT + (index + 1) * _SIDE / bins - 1
        high, low = bottom - max(sure, right) * _SIDE, bottom - min(sure, right) * _SIDE
        draw.rectangle((left, bottom - right * _SIDE, end, bottom), fill=_BAR)
        draw.rectangle((left, high, end, low), fill=_GAP if sure > right else _BAR, outline=_GAP, width=2)
        draw.rectangle((left, base - count / total * _SHARES, end, base), fill=_BAR)
    draw.line((_LEFT, bottom, _LEFT + _SIDE, _TOP), fill=INK)
    for top, end in ((_TOP, bottom), (base - _SHARES, base)):
        draw.rectangle((_LEFT, top, _LEFT + _SIDE, end), outline=INK)
    draw.text((_LEFT, _TOP - 4), "accuracy", fill=INK, font=small, anchor="lb")
    draw.text((_LEFT, base - _SHARES - 4), "share of the predictions", fill=INK, font=small, anchor="lb")
    draw.text((_LEFT + _SIDE / 2, base + 20), "confidence", fill=INK, font=small, anchor="mt")
    return from_pillow(canvas)
