"""The README and the files beside it: what they link to is there, and the code is what a reader can run."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_are_there(page: str) -> None:
    text = (ROOT / page).read_text()
    found = re.findall(r"\]\((?!https?:)([^)#]+)", text) + re.findall(r'src="(?!https?:)([^"]+)"', text)
    assert not [path for path in found if not (ROOT / path).exists()]


def test_every_task_has_a_picture_and_a_link() -> None:
    tasks = [path.name for path in (ROOT / "docs" / "tasks").glob("*.md")]
    assert all(f"(docs/tasks/{name})" in README for name in tasks)
    assert len(re.findall(r'<img src="docs/images/\w+\.png"[^>]* alt="[^"]+"', README)) == len(tasks)


def test_the_start_page_begins_with_the_command_of_the_readme() -> None:
    (command,) = re.findall(r"^python3 -m venv .* recipes/quickstart\.py$", README, re.MULTILINE)
    assert f"$ {command}\n" in (ROOT / "docs" / "index.md").read_text()


def test_the_python_versions_are_those_of_the_project() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    versions = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)
    (lowest, above) = re.findall(r'^requires-python = ">=(3\.\d+),<(3\.\d+)"', project, re.MULTILINE)[0]
    assert versions[0] == lowest
    assert int(versions[-1].removeprefix("3.")) + 1 == int(above.removeprefix("3."))
    for page in ("README.md", "docs/index.md", "docs/getting_started.md"):
        assert f"Python {versions[0]} to {versions[-1]}" in (ROOT / page).read_text(), page


def test_the_code_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    quick = code
    for written, faster in (
        ("max_epochs=10", "fast_dev_run=True, accelerator='cpu', enable_progress_bar=False, logger=False"),
        ('backbone="timm/convnext_tiny", backbone_weights="imagenet"', 'backbone="cnn", image_size=(32, 32)'),
        ('FolderDataModule("photos")', 'FolderDataModule("photos", image_size=32, num_workers=0)'),
    ):
        assert written in quick
        quick = quick.replace(written, faster)
    for name in range(5):
        (tmp_path / "photos" / str(name)).mkdir(parents=True)
        for number in range(10):
            color = (50 * name, 20 * number, 0)
            Image.new("RGB", (40, 40), color).save(tmp_path / "photos" / str(name) / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(quick, names)
    assert names["MyTask"].__name__ == "MyTask"


def test_the_citation_is_complete() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    assert f'license = "{citation["license"]}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_forms_for_issues_can_be_shown(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    if form.stem == "config":
        assert content == {"blank_issues_enabled": True}
        return
    assert content["name"]
    assert content["description"]
    identifiers = [field["id"] for field in content["body"] if field["type"] != "markdown"]
    assert len(identifiers) == len(set(identifiers)) > 2
    assert all(field["attributes"].get("label") for field in content["body"] if field["type"] != "markdown")
