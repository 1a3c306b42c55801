"""Which files are meant, and what their results are called."""

from pathlib import Path

import pytest

from tests.prediction.small_tasks import write_pictures
from visiontasks.errors import ArgumentError
from visiontasks.prediction.sources import find_files, name_targets, target_names


def test_files_folders_patterns_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write_pictures(tmp_path / "pictures")
    assert sorted(find_files([tmp_path])) == files
    deep = tmp_path / "pictures" / "deeper" / "turned.jpg"
    assert find_files([str(tmp_path / "pictures" / "*" / "*.jpg"), deep, files[0]]) == [deep, files[0]]
    assert deep in find_files([str(tmp_path / "**" / "*.jpg")])
    listed = tmp_path / "names.txt"
    listed.write_text("pictures/a b.png\n\npictures/gone.png\n", encoding="utf-8-sig")
    assert find_files([listed]) == [tmp_path / "pictures" / "a b.png", tmp_path / "pictures" / "gone.png"]
    # What is relative to the current folder goes first.
    monkeypatch.chdir(tmp_path)
    assert find_files([listed])[0] == Path("pictures/a b.png")
    (tmp_path / "empty").mkdir()
    for nothing in ("nowhere", "*.tiff", "empty"):
        with pytest.raises(ArgumentError, match="is not a file, a folder with images"):
            find_files([nothing])


def test_a_folder_called_like_an_image_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inside.png").touch()
    assert find_files([tmp_path]) == [tmp_path / "folder.png" / "inside.png"]
    with pytest.raises(ArgumentError):
        find_files([str(tmp_path / "*.gif")])


def test_results_are_called_after_their_files() -> None:
    assert target_names([Path("a/../b/x.jpg")], ".xml") == [Path("x.xml")]
    assert target_names([Path("/a/b/x.jpg"), Path("/a/c/d/x.jpg")], ".png") == [Path("b/x.png"), Path("c/d/x.png")]
    assert target_names([], ".png") == []


def test_a_result_never_replaces_an_image() -> None:
    with pytest.raises(ArgumentError, match="Write into another folder"):
        name_targets([Path("in/a.png"), Path("in/b.jpg")], Path("in"), ".png")
    assert name_targets([Path("in/a.png")], Path("out"), ".png") == {Path("in/a.png"): Path("a.png")}
