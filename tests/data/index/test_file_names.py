import os
import unicodedata
from pathlib import Path

import pytest

from visiontasks.data.index.file_names import found_files, list_files, missing_files, unsafe_name
from visiontasks.data.index.source import build_index


@pytest.mark.parametrize("name", ["a.jpg", "a b/ü 😀.jpg", "..a.jpg", "a..b/c.jpg", "xy:z.jpg", "a\\b.jpg"])
def test_ordinary_names(name: str) -> None:
    assert unsafe_name(name) is None


@pytest.mark.parametrize(
    "name",
    ["", "/a.jpg", "../a.jpg", "a/../../b.jpg", "a/..", "\\\\server\\a.jpg", "c:/a.jpg", "..\\a", "a\0b", "\ud83d.jpg"],
)
def test_names_that_are_refused(name: str) -> None:
    assert unsafe_name(name)


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(5):
            (tmp_path / folder / f"{number}.jpg").touch()
    listed = []
    original = os.listdir

    def listdir(path: str) -> list[str]:
        listed.append(path)
        return original(path)

    monkeypatch.setattr(os, "listdir", listdir)
    names = [f"{folder}/{number}.jpg" for folder in "abc" for number in range(6)]
    index = build_index(tmp_path, names, (), masks=["a/0.jpg", "", "b/9.png", *[""] * 15])
    problems = missing_files(index, "list.txt")
    images = [problem.record for problem in problems if problem.kind == "image file is missing"]
    assert images == ["a/5.jpg", "b/5.jpg", *(f"c/{number}.jpg" for number in range(6))]
    assert [problem.record for problem in problems if problem.kind == "mask file is missing"] == ["b/9.png"]
    assert len(listed) == 5  # three folders of images, two of masks


def test_other_code_points_of_an_accent_are_recognised(tmp_path: Path) -> None:
    (tmp_path / unicodedata.normalize("NFD", "é.jpg")).touch()
    (problem,) = missing_files(build_index(tmp_path, [unicodedata.normalize("NFC", "é.jpg")], ()), "list.txt")
    assert "other code points" in problem.remedy


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a\\b.jpg", "a\\b.jpg"),
        ("a\\c d.jpg", "a/c d.jpg"),
        ("a/c%20d.jpg", "a/c d.jpg"),
        ("a\\c%20d", "a/c d.jpg"),
        ("a/1.5", "a/1.5.PNG"),
        ("100%.jpg", "100%.jpg"),
        ("a/gone.jpg", "a/gone.jpg"),
        ("%2e%2e/out.jpg", "%2e%2e/out.jpg"),
    ],
)
def test_names_that_other_systems_and_tools_write(tmp_path: Path, written: str, found: str) -> None:
    (tmp_path / "in" / "a").mkdir(parents=True)
    for name in ("in/a\\b.jpg", "in/a/c d.jpg", "in/a/1.5.PNG", "in/100%.jpg", "out.jpg"):
        (tmp_path / name).touch()
    assert found_files(tmp_path / "in", [written]) == [found]


def test_listing_goes_deep_and_leaves_out_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/x.png", "a/deep er/é.tiff", ".hidden/x.png", "a/._x.png", "notes.txt", "__MACOSX/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list_files(tmp_path) == ["a/deep er/é.tiff", "a/x.png", "b.JPG"]
    assert list_files(tmp_path / "none") == []


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").touch()
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "2.png").touch()
    (tmp_path / "data" / "b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data" / "a")
    (tmp_path / "data" / "a" / "up").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "a" / "over").symlink_to(tmp_path / "elsewhere")
    assert list_files(tmp_path / "data") == ["a/2.png", "a/over/1.png", "b/1.png", "b/back/2.png"]
