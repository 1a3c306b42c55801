"""Precision and recall at a score threshold that the reader moves."""

import json
import math
from html import escape
from importlib.resources import files

from visiontasks.report.charts import PLOT, svg_chart
from visiontasks.report.content import Thresholds

_COLUMNS = ("precision", "recall", "F1", "right", "wrong", "missed")


def rates(right: int, wrong: int, wanted: int) -> tuple[float, float, float]:
    """Compute precision, recall and F1; NaN where one has no denominator.

    Example:
        >>> rates(right=3, wrong=1, wanted=6)
        (0.75, 0.5, 0.6)
    """
    predicted = right + wrong
    return (
        right / predicted if predicted else math.nan,
        right / wanted if wanted else math.nan,
        2 * right / (predicted + wanted) if predicted + wanted else math.nan,
    )


def threshold_section(thresholds: Thresholds) -> str:
    """Create the slider, the numbers that it changes, and the curves over the threshold for all classes together."""
    right, wrong = (
        [sum(column) for column in zip(*rows, strict=True)] for rows in (thresholds.right, thresholds.wrong)
    )
    wanted = sum(thresholds.wanted)
    curves: dict[str, list[tuple[float, float]]] = {"precision": [], "recall": [], "F1": []}
    for step, both in enumerate(zip(right, wrong, strict=True)):
        for name, value in zip(curves, rates(*both, wanted), strict=True):
            if not math.isnan(value):
                curves[name].append((step / 100, value))
    start = thresholds.start
    left, end, top, bottom = PLOT
    middle = left + (end - left) * start / 100
    mark = (
        f'<path id="threshold-mark" class="mark" data-left="{left}" data-width="{end - left}" '
        f'transform="translate({middle:g})" d="M0,{top}V{bottom}"/>'
    )
    chart = svg_chart("all classes", curves, "minimum score", y_range=(0, 1), x_range=(0, 1), extra=mark)
    rows = []
    names = ["all classes", *thresholds.names] if len(thresholds.names) > 1 else list(thresholds.names)
    offset = len(names) - len(thresholds.names)
    for index, name in enumerate(names, -offset):
        counts = (
            (right[start], wrong[start], wanted)
            if index < 0
            else (thresholds.right[index][start], thresholds.wrong[index][start], thresholds.wanted[index])
        )
        values = [*map(_text, rates(*counts)), str(counts[0]), str(counts[1]), str(counts[2] - counts[0])]
        cells = "".join(
            f'<td data-column="{column}">{value}</td>' for column, value in zip(_COLUMNS, values, strict=True)
        )
        rows.append(f'<tr data-class="{index}"><th scope="row">{escape(name)}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{name}</th>' for name in ("from this score on", *_COLUMNS))
    data = json.dumps({"right": thresholds.right, "wrong": thresholds.wrong, "wanted": thresholds.wanted})
    script = files("visiontasks.report").joinpath("thresholds.js").read_text(encoding="utf-8")
    return (
        f'<p class="note">{escape(thresholds.note)}</p>'
        f'<div class="slider"><label for="threshold">score at least <output id="threshold-value">{start / 100:.2f}'
        '</output></label><input id="threshold" type="range" min="0" max="100" step="1" '
        f'value="{start}"></div><div class="charts">{chart}</div>'
        f'<div class="scroll"><table id="threshold-table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        # Unescaped, "<" would end the script if a name contained its end tag.
        f'<script type="application/json" id="threshold-data">{data.replace("<", chr(92) + "u003c")}</script>'
        f"<script>{script}</script>"
    )


def _text(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
