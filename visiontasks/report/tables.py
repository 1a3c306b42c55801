"""Tables of numbers as HTML."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape

from visiontasks.report.content import Confusion

MOST_CLASSES = 40
"""Maximum number of classes for which a confusion matrix is shown."""


def number(value: float) -> str:
    """Format a number for reading, with its exact value as an attribute; a dash for NaN.

    Example:
        >>> number(0.98765432)
        '<data value="0.98765432">0.9877</data>'
    """
    text = "-" if math.isnan(value) else f"{value:.4f}" if abs(value) < 1e4 else f"{value:,.0f}"
    return f'<data value="{value!r}">{text}</data>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Make a table whose first column names its rows.

    Args:
        header: Text of the columns.
        rows: The name of each row as text, then its cells as HTML.
    """
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in header)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, *cells in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def by_loader(metrics: Mapping[str, float]) -> dict[int, dict[str, float]]:
    """Split metrics by the index of the loader that they belong to; what has no index belongs to the first.

    Example:
        >>> by_loader({"test/loss": 1.0, "test/loss/dataloader_idx_0": 1.0, "test/loss/dataloader_idx_1": 2.0})
        {0: {'test/loss': 1.0}, 1: {'test/loss': 2.0}}
    """
    loaders: dict[int, dict[str, float]] = defaultdict(dict)
    for full, value in metrics.items():
        name, _, index = full.partition("/dataloader_idx_")
        loaders[int(index or 0)][name] = value
    return dict(loaders)


def metric_table(metrics: Mapping[str, float]) -> str:
    """List the metrics that are not of a single class, with a column for each loader."""
    loaders = by_loader(metrics)
    names = dict.fromkeys(name for values in loaders.values() for name in values if name.count("/") < 2)
    header = ["value"] if len(loaders) < 2 else [f"loader {index}" for index in loaders]
    rows = [(name, *(number(values.get(name, math.nan)) for values in loaders.values())) for name in names]
    return table(("metric", *header), rows)


def by_class(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Select the metrics of single classes: the value of each class by metric.

    Example:
        >>> by_class({"test/miou": 0.4, "test/iou/sky": 0.9, "test/iou/road": 0.8})
        {'iou': {'sky': 0.9, 'road': 0.8}}
    """
    columns: dict[str, dict[str, float]] = defaultdict(dict)
    for full, value in metrics.items():
        _, name, label = (*full.split("/", 2), "")[:3]
        if label:
            columns[name][label] = value
    return dict(columns)


def class_table(metrics: Mapping[str, float], class_names: Sequence[str], confusion: Confusion | None) -> str:
    """List the classes with their logged metrics and those from the confusion matrix; empty if there are neither."""
    columns = by_class(by_loader(metrics).get(0, {}))
    counted = confusion.counts if confusion else []
    if not columns and not counted:
        return ""
    header = ["class", *([confusion.unit, "precision", "recall"] if confusion else []), *columns]
    rows = []
    for index, name in enumerate(class_names):
        cells = []
        if counted:
            right, wanted, predicted = counted[index][index], sum(counted[index]), sum(row[index] for row in counted)
            cells = [f"{wanted:,}", number(_share(right, predicted)), number(_share(right, wanted))]
        rows.append([name, *cells, *(number(column.get(name, math.nan)) for column in columns.values())])
    return table(header, rows)


def confusion_table(confusion: Confusion) -> str:
    """Draw a confusion matrix, and list the most frequent confusions."""
    names, counts = confusion.names, confusion.counts
    parts = [f'<p class="note">{escape(confusion.note)}</p>'] if confusion.note else []
    if len(names) <= MOST_CLASSES:
        parts.append(_matrix(confusion))
    else:
        parts.append(f'<p class="note">{len(names)} classes; a matrix is drawn of up to {MOST_CLASSES}.</p>')
    pairs = [(counts[i][j], i, j) for i in range(len(names)) for j in range(len(names)) if i != j and counts[i][j]]
    frequent = sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:10]
    if frequent:
        rows = [
            (names[i], escape(names[j]), f"{count:,}", f"{_share(count, sum(counts[i])):.1%}")
            for count, i, j in frequent
        ]
        header = ("true class", "predicted", confusion.unit, "share of the true class")
        parts.append(f"<h3>Most frequent confusions</h3>{table(header, rows)}")
    return "".join(parts)


def _matrix(confusion: Confusion) -> str:
    shares = max(map(max, confusion.counts), default=0) >= 10_000
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in confusion.names)
    body = []
    for name, row in zip(confusion.names, confusion.counts, strict=True):
        cells = []
        for count, other in zip(row, confusion.names, strict=True):
            share = _share(count, sum(row))
            share = 0.0 if math.isnan(share) else share
            title = escape(f"{name} predicted as {other}: {count:,} {confusion.unit}, {share:.1%}")
            text = (f"{share:.1%}" if shares else f"{count:,}") if count else "·"
            strong = ' class="strong"' if share > 0.55 else ""
            cells.append(f'<td{strong} style="--share:{share:.3f}" title="{title}">{text}</td>')
        body.append(f'<tr><th scope="row">{escape(name)}</th>{"".join(cells)}</tr>')
    caption = f"Rows: true class. Columns: predicted class. {'Shares of the row' if shares else 'Counts'}"
    return (
        f'<p class="note">{caption} ({escape(confusion.unit)}); the colour is the share of the row.</p>'
        f'<div class="scroll"><table class="matrix"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
