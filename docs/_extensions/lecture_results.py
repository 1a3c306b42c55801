"""The directive ``lecture-results``: the tables that a script of recipes/lecture wrote, and how to write them again.

With ``:bars: COLUMN`` each table that has the column is drawn as well: a bar for the mean of the seeds, a line from the
least to the greatest.
"""

import json
import re
from html import escape
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_NAMES, _BARS, _ROW = 300, 300, 24
"""Width of the names and of the longest bar, and height of a row, in units of the picture."""


class Bar(NamedTuple):
    """A bar of a chart: mean, least and greatest value of the seeds."""

    name: str
    mean: float
    least: float
    greatest: float


def text(tables: list[dict[str, Any]]) -> str:
    """Write tables in Markdown."""
    lines = []
    for table in tables:
        rows = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
        lines += [f"{table['title']}:", "", *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]
    return "\n".join(lines)


def origin(result: dict[str, Any]) -> str:
    """Say how and when the results of a script were made."""
    return f"`{result['command']}`, {result['date']}, {result['seconds']} s on {result['hardware']}."


def bars_of(table: dict[str, Any], column: str) -> list[Bar]:
    """Read a column of a table; rows are named by their first column, and by the second if the first has numbers."""
    place = table["columns"].index(column)
    bars = []
    for row in table["rows"]:
        name = f"{row[0]} {row[1]}" if isinstance(row[0], int) else str(row[0])
        mean, *spread = (float(value) for value in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", str(row[place])))
        bars.append(Bar(name, mean, min([mean, *spread]), max([mean, *spread])))
    return bars


def chart(title: str, bars: list[Bar]) -> str:
    """Draw bars from zero, as SVG in the colours of the page."""
    most = max(bar.greatest for bar in bars) or 1.0
    parts = []
    for row, bar in enumerate(bars):
        y = row * _ROW
        mean, least, greatest = (round(_NAMES + value / most * _BARS, 1) for value in bar[1:])
        parts.append(f'<text x="{_NAMES - 8}" y="{y + 16}" text-anchor="end">{escape(bar.name)}</text>')
        parts.append(f'<rect x="{_NAMES}" y="{y + 5}" width="{round(mean - _NAMES, 1)}" height="14"/>')
        parts.append(f'<path d="M{least},{y + 12}H{greatest}"/>')
        parts.append(f'<text x="{greatest + 6}" y="{y + 16}">{bar.mean:g}</text>')
    box = f"0 0 {_NAMES + _BARS + 70} {len(bars) * _ROW}"
    label = escape(title, quote=True)
    return f'<svg class="lecture" viewBox="{box}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


class LectureResults(SphinxDirective):
    """The tables of the script that is named, and charts of a column."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {"bars": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        """Build the tables."""
        path = Path(self.env.srcdir) / "understand" / "results" / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        result = json.loads(path.read_text(encoding="utf-8"))
        found: list[nodes.Node] = []
        for table in result["tables"]:
            found += self.parse_text_to_nodes(text([table]))
            column = self.options.get("bars")
            if column in table["columns"]:
                title = f"{table['title']}: {column}"
                found += self.parse_text_to_nodes(
                    f"{title}; bars are means, lines go from the least seed to the greatest:"
                )
                found.append(nodes.raw("", chart(title, bars_of(table, column)), format="html"))
        found += self.parse_text_to_nodes(origin(result))
        return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("lecture-results", LectureResults)
    return {"parallel_read_safe": True}
