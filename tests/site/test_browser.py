"""The site in headless Chromium, as wide as a desk and as narrow as a telephone: nothing is cut off or missing."""

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTHS = (1440, 390)

# Loads every page in a frame of every width, and writes down what does not fit or did not load.
PROBE = """<!doctype html><title>probe</title><body><script>
const pages = PAGES, widths = WIDTHS, found = [];
const wider = element => element.scrollWidth > element.clientWidth + 1;
function look(frame, page, width) {
  const inside = frame.contentDocument;
  const say = what => found.push(`${page} at ${width}: ${what}`);
  if (!inside || !inside.querySelector("article")) return say("is not there");
  if (wider(inside.documentElement)) say("the page scrolls sideways");
  for (const block of inside.querySelectorAll("pre"))
    if (wider(block)) say("cut off: " + block.textContent.slice(0, 60));
  for (const image of inside.images)
    if (!image.complete || !image.naturalWidth) say("did not load: " + image.getAttribute("src"));
  const buttons = [...inside.querySelectorAll("button.copybtn")];
  const copyable = inside.querySelectorAll("div:not(.highlight-text) > div.highlight > pre");
  if (copyable.length !== buttons.length) say("blocks without a copy button");
  for (const button of buttons) {
    let copied = "";
    inside.execCommand = () => { copied = inside.querySelector("textarea[readonly]").value; return true; };
    button.click();
    if (!copied.trim()) say("copies nothing");
    if (/^(\\$ |>>> |\\.\\.\\. )/m.test(copied)) say("copies a prompt: " + copied.slice(0, 60));
  }
}
function load(page, width) {
  return new Promise(done => {
    const frame = document.createElement("iframe");
    frame.style.cssText = `border: 0; height: 900px; width: ${width}px`;
    frame.onload = () => {
      try { look(frame, page, width); } catch (error) { found.push(`${page} at ${width}: ${error}`); }
      frame.remove();
      done();
    };
    frame.src = page;
    document.body.append(frame);
  });
}
(async () => {
  let looked = 0;
  for (const width of widths) for (const page of pages) { await load(page, width); looked += 1; }
  const result = document.createElement("code");
  result.id = "result";
  result.textContent = JSON.stringify({looked, found});
  document.body.append(result);
})();
</script>"""


class Quiet(SimpleHTTPRequestHandler):
    """Serve files without a line for each."""

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"needs a browser, one of {', '.join(BROWSERS)}")
    return found


@pytest.fixture
def address(site: Path, tmp_path: Path) -> Iterator[str]:
    """Serve a copy of the site that holds the probe, too."""
    folder = tmp_path / "site"
    shutil.copytree(site, folder)
    handler = partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def probe(browser: str, address: str, folder: Path, pages: list[str]) -> dict[str, Any]:
    page = PROBE.replace("PAGES", json.dumps(pages)).replace("WIDTHS", json.dumps(WIDTHS))
    (folder / "probe.html").write_text(page)
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1600,1000"]
    options += ["--virtual-time-budget=600000", "--dump-dom", f"{address}/probe.html"]
    done = subprocess.run([browser, *options], capture_output=True, text=True, timeout=500, check=True)
    written = re.search(r'<code id="result">(.*?)</code>', done.stdout, re.DOTALL)
    assert written, done.stdout[-500:] + done.stderr[-500:]
    result: dict[str, Any] = json.loads(html.unescape(written[1]))
    return result


def test_pages_fit_both_widths(browser: str, address: str, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.html"))]
    pages = [path for path in paths if not path.startswith(("_static", "_sources", "search", "genindex"))]
    result = probe(browser, address, folder, pages)
    assert result["looked"] == len(pages) * len(WIDTHS) > 40
    assert not result["found"], "\n".join(result["found"])


def test_the_probe_finds_what_does_not_fit(browser: str, address: str, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    style = "<style>pre { white-space: pre !important; overflow: auto }</style>"
    (folder / "broken.html").write_text(
        f"<!doctype html>{style}<article><pre>{'long ' * 100}</pre><img src='missing.png'>"
        "<div style='width: 3000px'>wide</div></article>"
    )
    found = "\n".join(probe(browser, address, folder, ["broken.html"])["found"])
    for fault in ("scrolls sideways", "cut off: long", "did not load: missing.png"):
        assert found.count(fault) == len(WIDTHS)
