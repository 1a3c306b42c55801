"""What every page of the site links to is there, and its code is wrapped and can be copied."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

# Pages that Sphinx makes of sources and scripts, and that are no text of ours.
GENERATED = ("_static", "_sources")
GROUPS = ["Start", "Tasks", "Data", "Training", "Clusters and W&B", "Use", "Extend", "Understand", "Reference"]
TYPED = ("visiontasks fit", "visiontasks check", ">>> ", "$ ")


def pages(site: Path) -> list[Path]:
    return [path for path in sorted(site.rglob("*.html")) if path.relative_to(site).parts[0] not in GENERATED]


@cache
def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(str(tag["id"]) for tag in parsed(page).find_all(id=True))


def local(tags: list[Tag], attribute: str) -> list[str]:
    """Return the addresses that lead nowhere else."""
    addresses = [str(tag[attribute]) for tag in tags]
    return [address for address in addresses if not urlsplit(address).scheme and not address.startswith("//")]


def test_every_link_leads_somewhere(site: Path) -> None:
    broken = []
    for page in pages(site):
        for address in local(parsed(page).find_all("a", href=True), "href"):
            parts = urlsplit(address)
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if target.is_dir():
                target /= "index.html"
            fragment = unquote(parts.fragment)
            if not target.is_file() or (fragment and target.suffix == ".html" and fragment not in anchors(target)):
                broken.append(f"{page.relative_to(site)}: {address}")
    assert not broken


def test_every_image_script_and_style_is_there(site: Path) -> None:
    missing = []
    for page in pages(site):
        tags = parsed(page)
        addresses = local(tags.find_all(["img", "script"], src=True), "src")
        addresses += local(tags.find_all("link", rel="stylesheet"), "href")
        for address in addresses:
            if not (page.parent / unquote(urlsplit(address).path)).is_file():
                missing.append(f"{page.relative_to(site)}: {address}")
    assert not missing


def test_images_have_a_text_in_their_place(site: Path) -> None:
    without = [str(image) for page in pages(site) for image in parsed(page).find_all("img") if not image.get("alt")]
    assert not without


def test_every_page_wraps_its_code_and_has_copy_buttons(site: Path) -> None:
    for page in pages(site):
        styles = [str(tag["href"]) for tag in parsed(page).find_all("link", rel="stylesheet")]
        assert any("site.css" in style for style in styles), page
        assert any("copybutton.js" in str(tag["src"]) for tag in parsed(page).find_all("script", src=True)), page
    assert "white-space: pre-wrap" in (site / "_static" / "site.css").read_text()


def test_what_is_typed_can_be_copied(site: Path) -> None:
    """The button is on blocks of a language: a command in a block without one could not be copied."""
    for page in pages(site):
        for block in parsed(page).select("div.highlight-text pre"):
            assert not block.get_text().startswith(TYPED), f"{page.relative_to(site)}: {block.get_text()[:80]}"


def test_the_start_page_shows_every_task_and_leads_on(site: Path) -> None:
    page = parsed(site / "index.html")
    body = page.find("article")
    assert isinstance(body, Tag)
    tasks = {path.stem for path in (site / "tasks").glob("*.html")}
    assert {Path(str(link["href"])).stem for link in body.select("figure a.reference.image-reference")} == tasks
    assert "recipes/quickstart.py" in body.get_text()
    assert len(body.select("dl dt a")) >= 8


def test_pages_are_in_groups(site: Path) -> None:
    page = parsed(site / "index.html")
    captions = [caption.get_text() for caption in page.select(".sidebar-tree p.caption")]
    assert captions == GROUPS
    groups = [len(group.find_all("li", class_="toctree-l1")) for group in page.select(".sidebar-tree > ul")]
    assert len(groups) == len(GROUPS)
    assert max(groups) <= 6


def test_drawings_are_as_wide_as_the_style_takes_them_for(site: Path) -> None:
    """Lines that are not wrapped are shrunk to the width, by the number of columns that their block is said to have."""
    known = set(re.findall(r"^\.(columns-\d+) ", (site / "_static" / "site.css").read_text(), re.MULTILINE))
    seen = set()
    for page in pages(site):
        for block in parsed(page).select("div.highlight-text"):
            longest = max(map(len, block.get_text().splitlines()))
            said = [name for name in block["class"] if name.startswith("columns-")]
            assert len(said) == (longest > 40), f"{page.relative_to(site)}: {block.get_text()[:80]}"
            assert known.issuperset(said), f"{page.relative_to(site)}: a line of {longest} characters"
            assert all(longest <= int(name.removeprefix("columns-")) for name in said)
            seen.update(said)
    assert seen == known


def test_headings_of_a_page_are_unique(site: Path) -> None:
    for page in pages(site):
        found = re.findall(r'<section id="([^"]+)"', page.read_text(encoding="utf-8"))
        assert len(found) == len(set(found)), page
