"""Reads the page of a run as a reader would: tables of text, and what it loads."""

import json
import re
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """What is on a page.

    Attributes:
        tables: Rows of cells; a number is its exact value.
        links: What the page would load or lead to.
        tags: Elements that are opened.
        text: All text outside of scripts and styles.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tables: list[list[list[str]]] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._cell: list[str] | None = None
        self._exact: str | None = None
        self._silent = False
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in {"src", "href", "action", "data"}]
        self._silent = self._silent or tag in {"script", "style"}
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self._cell, self._exact = [], None
        elif tag == "data":
            self._exact = given["value"]

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._cell is not None:
            self.tables[-1][-1].append("".join(self._cell) if self._exact is None else self._exact)
            self._cell = None
        self._silent = self._silent and tag not in {"script", "style"}

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        self.text += data
        if self._cell is not None:
            self._cell.append(data)

    def table(self, *header: str) -> dict[str, list[str]]:
        """Find the table whose header begins so; its rows by their name."""
        found = [rows for rows in self.tables if rows and rows[0][: len(header)] == list(header)]
        assert len(found) == 1, [rows[0] for rows in self.tables if rows]
        return {row[0]: row[1:] for row in found[0]}

    def thresholds(self) -> Any:  # noqa: ANN401 - what the page's script reads
        """Read what the slider chooses from."""
        (found,) = re.findall(r'<script type="application/json" id="threshold-data">(.*?)</script>', self.html)
        return json.loads(found)


def check_self_contained(page: Page) -> None:
    """Check that nothing is loaded from anywhere, and that the page is small enough and fit for a phone."""
    assert all(link.startswith(("data:", "#")) for link in page.links)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest", page.html)
    assert {"iframe", "object", "embed"}.isdisjoint(page.tags)
    assert len(page.html.encode()) < 10e6
    assert '<meta name="viewport" content="width=device-width' in page.html
