import os
import unicodedata
from pathlib import Path

import pytest

from visiontasks.data.index.file_names import found_files, list_files, missing_files, unsafe_name
from visiontasks.data.index.folders import ClassFolders, ImageFolder
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
    original = os.scandir

    def scandir(path: str) -> object:
        listed.append(path)
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    names = [f"{folder}/{number}.jpg" for folder in "abc" for number in range(6)]
    index = build_index(tmp_path, names, (), masks=["a/0.jpg", "", "b/9.png", *[""] * 15])
    problems = missing_files(index, "list.txt")
    images = [problem.record for problem in problems if problem.kind == "image file is missing"]
    assert images == ["a/5.jpg", "b/5.jpg", *(f"c/{number}.jpg" for number in range(6))]
    assert [problem.record for problem in problems if problem.kind == "mask file is missing"] == ["b/9.png"]
    assert len(listed) == 5  # three folders of images, two of masks


def test_other_code_points_of_an_accent_and_another_case_of_a_suffix_are_the_same_name(tmp_path: Path) -> None:
    there, written = (
        f"{unicodedata.normalize(form, 'é')}/{unicodedata.normalize(form, 'ü')}" for form in ("NFD", "NFC")
    )
    (tmp_path / there).parent.mkdir()
    for name in (f"{there}.jpg", "a.PNG", "b.Jpg", "b.JPG"):
        (tmp_path / name).touch()
    assert found_files(tmp_path, [f"{written}.jpg", f"{written}.JPG"]) == [f"{there}.jpg"] * 2
    assert found_files(tmp_path, ["a.png", "A.png", "b.jpg"]) == ["a.PNG", "A.png", "b.jpg"]  # no stem, and two files


@pytest.mark.parametrize("linked", [False, True])
def test_absolute_paths_in_the_folder_are_resolved(linked: bool, tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "in").mkdir(parents=True)
    (root / "in" / "a.jpg").touch()
    if linked:
        (tmp_path / "link").symlink_to(root)
    absolute = str(root / "in" / "a.jpg")
    assert unsafe_name(absolute) == "file name leaves the folder of the images"
    assert unsafe_name(absolute, tmp_path / "link" if linked else root) is None
    assert unsafe_name(f"{root}/../b.jpg", root) == "file name leaves the folder of the images"
    assert found_files(tmp_path / "link" if linked else root, [absolute]) == ["in/a.jpg"]


def test_links_to_nothing_are_missing_files(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "gone.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (tmp_path / "a" / "there.jpg").touch()
    (tmp_path / "a" / "linked.jpg").symlink_to(tmp_path / "a" / "there.jpg")
    for source in (ClassFolders(tmp_path), ImageFolder(tmp_path)):
        parsed = source.parse()
        assert [*parsed.index.files] == ["a/gone.jpg", "a/linked.jpg", "a/there.jpg"]
        (problem,) = (problem for problem in parsed.problems if problem.severity == "error")
        assert (problem.kind, problem.record) == ("image file is missing", "a/gone.jpg")
        assert "is a link to '" in problem.remedy


def test_what_systems_and_network_disks_write_is_left_out(tmp_path: Path) -> None:
    for folder in ("cat", "dog", "cat/@eaDir/0.png", "dog/lost+found", "$RECYCLE.BIN", "@eaDir"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / ("thumb.jpg" if folder[:3] not in ("cat", "dog") or "/" in folder else "0.png")).touch()
    parsed = ClassFolders(tmp_path).parse()
    assert [*parsed.index.files] == ["cat/0.png", "dog/0.png"]
    assert parsed.index.class_names == ("cat", "dog")
    assert not parsed.problems


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
