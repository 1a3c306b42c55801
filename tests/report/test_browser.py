"""The page in a browser: headless Chromium, where there is one."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.report.pages import RIGHT, WANTED, WRONG, make_report
from tests.report.reading import Page
from visiontasks.report import page
from visiontasks.report.thresholds import rates

pytestmark = pytest.mark.slow

# Acts as a reader who moves the slider; errors of the page are kept in its title.
_MOVE = """<script>
window.addEventListener("error", (event) => { document.title = "error: " + event.message; });
const slider = document.getElementById("threshold");
slider.value = "73";
slider.dispatchEvent(new Event("input"));
</script></body>"""


def browse(file: Path, folder: Path, address: str = "", *options: str) -> tuple[str, str]:
    """Open a file; return the page as it stands then, and what the browser said."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium: install the package chromium")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *(f"--user-data-dir={folder}", "--enable-logging=stderr", "--virtual-time-budget=2000"),
        *(options or ("--dump-dom",)),
        f"{file.as_uri()}{address}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return done.stdout, done.stderr


def rows_at(step: int) -> list[list[str]]:
    """Compute the table of the threshold from the counts."""
    right, wrong = ([row[step] for row in counts] for counts in (RIGHT, WRONG))
    triples = [(sum(right), sum(wrong), sum(WANTED)), *zip(right, wrong, WANTED, strict=True)]
    shares = [["-" if value != value else f"{value:.4f}" for value in rates(*triple)] for triple in triples]
    return [[*share, f"{r}", f"{w}", f"{all_ - r}"] for share, (r, w, all_) in zip(shares, triples, strict=True)]


@pytest.mark.parametrize(
    ("address", "moved", "step"), [("", False, 50), ("#score=0.3", False, 30), ("", True, 73)], ids=str
)
def test_the_slider_changes_the_numbers(address: str, moved: bool, step: int, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    html = page(make_report())
    file.write_text(html.replace("</body>", _MOVE) if moved else html, encoding="utf-8")
    dom, said = browse(file, tmp_path / "profile", address)
    assert "CONSOLE" not in said
    assert "error:" not in "".join(re.findall(r"<title>.*?</title>", dom))
    read = Page(dom)
    rows = next(rows for rows in read.tables if rows[0][0] == "from this score on")
    assert [row[1:] for row in rows[1:]] == rows_at(step)
    assert f'<output id="threshold-value">{step / 100:.2f}</output>' in dom
    assert rows_at(step) != rows_at(51)


def test_an_error_of_the_page_would_be_seen(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(make_report()).replace('id="threshold-mark"', 'id="gone"'), encoding="utf-8")
    _, said = browse(file, tmp_path / "profile")
    assert "CONSOLE" in said


@pytest.mark.parametrize("width", [1200, 500], ids=["desktop", "phone"])
def test_the_page_is_no_wider_than_the_screen(width: int, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    measure = "<script>document.title = `${document.documentElement.scrollWidth}`</script></body>"
    file.write_text(page(make_report()).replace("</body>", measure), encoding="utf-8")
    dom, _ = browse(file, tmp_path / "profile", "", f"--window-size={width},900", "--dump-dom")
    assert int(re.findall(r"<title>(\d+)</title>", dom)[0]) <= width
