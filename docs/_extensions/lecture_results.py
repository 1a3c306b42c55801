"""The directive ``lecture-results``: the tables that a script of recipes/lecture wrote, and how to write them again."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def text(result: dict[str, Any]) -> str:
    """Write the results of a script in Markdown."""
    lines = []
    for table in result["tables"]:
        rows = [table["columns"], ["---"] * len(table["columns"]), *table["rows"]]
        lines += [f"{table['title']}:", "", *(f"| {' | '.join(map(str, row))} |" for row in rows), ""]
    lines.append(f"`{result['command']}`, {result['date']}, {result['seconds']} s on {result['hardware']}.")
    return "\n".join(lines)


class LectureResults(SphinxDirective):
    """The tables of the script that is named."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Build the tables."""
        path = Path(self.env.srcdir) / "understand" / "results" / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        found: list[nodes.Node] = self.parse_text_to_nodes(text(json.loads(path.read_text(encoding="utf-8"))))
        return found


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("lecture-results", LectureResults)
    return {"parallel_read_safe": True}
