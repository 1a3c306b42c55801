"""Curves as SVG, in the colours of the page."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from visiontasks.visualization.charts import ticks

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 460, 250, 58, 12, 30, 40
PLOT = (_LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM)
"""Left, right, top and bottom of the axes, in units of the picture."""

Points = Sequence[tuple[float, float]]


def svg_chart(
    title: str,
    series: Mapping[str, Points],
    x_label: str,
    y_range: tuple[float, float] | None = None,
    x_range: tuple[float, float] | None = None,
    extra: str = "",
) -> str:
    """Draw curves over a common axis.

    Args:
        title: Name of the values, written above the axes.
        series: Points (x, y) of each curve, by its name in the legend, in ascending order of x; at most three curves.
        x_label: What x is.
        y_range: Minimum and maximum y; by default those of the points.
        x_range: Minimum and maximum x; by default those of the points.
        extra: More SVG inside of it.

    Returns:
        An ``<svg>`` element, with empty axes if there are no points.
    """
    points = [point for curve in series.values() for point in curve]
    xs, ys = [x for x, _ in points] or [0.0, 1.0], [y for _, y in points] or [0.0, 1.0]
    low_x, high_x = x_range or _spread(min(xs), max(xs), 0.5)
    low, high = y_range or _spread(min(ys), max(ys), max(abs(min(ys)) * 0.05, 1e-3))
    y_ticks, x_ticks = ticks(low, high), ticks(low_x, high_x, whole=x_label == "epoch")
    if y_range is None:
        low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])
    left, right, top, bottom = PLOT

    def place(x: float, y: float) -> tuple[float, float]:
        across = left + (x - low_x) / (high_x - low_x) * (right - left)
        return round(across, 1), round(bottom - (y - low) / (high - low) * (bottom - top), 1)

    parts = [f'<text class="title" x="{left}" y="14">{escape(title)}</text>']
    for tick in y_ticks:
        _, y = place(low_x, tick)
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text text-anchor="end" x="{left - 6}" y="{y + 4}">{_label(tick, y_ticks)}</text>')
    for tick in x_ticks:
        x, _ = place(tick, low)
        parts.append(f'<text text-anchor="middle" x="{x}" y="{bottom + 16}">{_label(tick, x_ticks)}</text>')
    parts.append(f'<path class="axis" d="M{left},{top}V{bottom}H{right}"/>')
    parts.append(f'<text text-anchor="middle" x="{(left + right) / 2}" y="{_HEIGHT - 6}">{escape(x_label)}</text>')
    end = float(right)
    for index, (name, curve) in reversed(list(enumerate(series.items()))):
        placed = [place(*point) for point in curve]
        if len(placed) > 1:
            path = "L".join(f"{x},{y}" for x, y in placed)
            parts.append(f'<path class="curve c{index}" d="M{path}"/>')
        if 0 < len(placed) <= 30 and x_label == "epoch":
            parts += [f'<circle class="c{index}" cx="{x}" cy="{y}" r="3"/>' for x, y in placed]
        if name and placed:
            parts.append(f'<text text-anchor="end" x="{end:.0f}" y="14">{escape(name)}</text>')
            end -= 6.5 * len(name) + 5
            parts.append(f'<path class="curve c{index}" d="M{end - 16:.0f},10H{end:.0f}"/>')
            end -= 32
    if not points:
        parts.append(f'<text text-anchor="middle" x="{(left + right) / 2}" y="{(top + bottom) / 2}">no values</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(parts)}{extra}</svg>'
    )


def _spread(low: float, high: float, margin: float) -> tuple[float, float]:
    return (low - margin, high + margin) if high - low < 1e-9 * max(1.0, abs(high)) else (low, high)


def _label(value: float, others: Sequence[float]) -> str:
    if max(abs(other) for other in others) >= 1e6 or 0 < max(abs(other) for other in others) < 1e-3:
        return f"{value:.1e}"
    step = min((b - a for a, b in pairwise(others)), default=1.0)
    return f"{value:,.{max(0, min(6, -math.floor(math.log10(step) + 1e-9)))}f}"
