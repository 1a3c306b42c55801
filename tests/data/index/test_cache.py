import json
import multiprocessing
import os
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.data.index.coco_writer import small_set, write
from tests.data.index.voc_writer import thing, write_devkit, xml
from visiontasks.data.index import cache
from visiontasks.data.index.cache import cache_folders, load_index
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.folders import ImageFolder
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed
from visiontasks.data.index.storage import write_index
from visiontasks.data.index.voc import VocDevkit
from visiontasks.errors import DataError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("VISIONTASKS_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@dataclass(frozen=True)
class Counted(CocoFile):
    """Leaves a mark beside the file for every parse."""

    def parse(self) -> Parsed:
        with (self.images / "parses").open("a") as file:
            file.write("x")
        return super().parse()

    def parses(self) -> int:
        return (self.images / "parses").stat().st_size


@pytest.fixture
def source(tmp_path: Path) -> Counted:
    folder = tmp_path / "data"
    folder.mkdir()
    content = small_set()
    content["annotations"][2].update(bbox=[1, 2, 0, 4], segmentation=[])
    return Counted(write(folder, content), folder)


def folders_of(index: ImageIndex) -> list[str]:
    assert index.folder is not None
    return sorted(path.name for path in index.folder.parent.iterdir())


def test_parsed_once_and_mapped_from_beside_the_data(source: Counted) -> None:
    first, second = load_index(source), load_index(source)
    assert source.parses() == 1
    assert list(first.problems) == list(second.problems)
    assert [problem.kind for problem in second.problems] == ["box of zero area"]
    for parsed in (first, second):
        assert parsed.index.folder is not None
        assert parsed.index.folder.parent == source.images / ".visiontasks"
        assert isinstance(parsed.index.labels.base, np.memmap)
    assert len(folders_of(first.index)) == 2  # the entry and its lock; no temporary folder


def test_another_time_of_modification_alone_is_no_change(source: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    load_index(source)
    os.utime(source.file, ns=(1, 1))
    load_index(source)
    assert source.parses() == 1
    monkeypatch.setattr(cache, "_content", lambda files: pytest.fail("the new time was not recorded"))
    load_index(source)


def test_another_content_is_parsed_again(source: Counted) -> None:
    load_index(source)
    content = json.loads(source.file.read_text())
    content["annotations"].pop()
    source.file.write_text(json.dumps(content))
    parsed = load_index(source)
    assert source.parses() == 2
    assert len(parsed.index.labels) == 4
    assert len(folders_of(parsed.index)) == 2


def test_other_options_have_their_own_entry(source: Counted) -> None:
    content = small_set()
    for entry in content["annotations"]:
        entry["bbox"] = [5, 5, 8, 9]  # sides as well as corners
    write(source.images, content)
    first = load_index(source).index
    other = load_index(Counted(source.file, source.images, "voc")).index
    assert source.parses() == 2
    assert first.folder != other.folder


@pytest.mark.parametrize("damage", ["cut", "garbage", "deleted", "header", "stamp", "empty"])
def test_a_damaged_entry_is_rebuilt(source: Counted, damage: str) -> None:
    folder = load_index(source).index.folder
    assert folder is not None
    boxes = folder / "boxes.npy"
    if damage == "cut":
        boxes.write_bytes(boxes.read_bytes()[:-8])
    elif damage == "garbage":
        boxes.write_bytes(boxes.read_bytes()[:-8] + b"garbage!")
    elif damage == "deleted":
        boxes.unlink()
    elif damage == "header":
        (folder / "index.json").write_text("{")
    elif damage == "stamp":
        (folder / "stamp.json").unlink()
    else:
        shutil.rmtree(folder)
        folder.mkdir()
    index = load_index(source).index
    assert source.parses() == 2
    assert index.boxes is not None
    assert index.boxes[0].tolist() == [0, 0, 60, 40]


def test_errors_are_raised_every_time_and_nothing_is_kept(source: Counted) -> None:
    content = json.loads(source.file.read_text())
    content["annotations"][0]["category_id"] = 77
    source.file.write_text(json.dumps(content))
    for _ in range(2):
        with pytest.raises(DataError, match="unknown category: category_id 77"):
            load_index(source)
    assert source.parses() == 2
    assert all(path.suffix == ".lock" for path in (source.images / ".visiontasks").iterdir())


def test_an_image_that_goes_missing_is_noticed(source: Counted) -> None:
    load_index(source)
    (source.images / "a b.jpg").unlink()
    with pytest.raises(DataError, match=r"1 x image file is missing.*\n.*a b\.jpg"):
        load_index(source)
    (source.images / "a b.jpg").touch()
    load_index(source)
    assert source.parses() == 2


def test_an_image_that_is_converted_is_found_again(tmp_path: Path) -> None:
    source = VocDevkit(write_devkit(tmp_path), "train")
    load_index(source)
    (tmp_path / "JPEGImages" / "empty.jpg").rename(tmp_path / "JPEGImages" / "empty.png")
    assert "JPEGImages/empty.png" in load_index(source).index.files
    assert "JPEGImages/empty.png" in load_index(source).index.files


def test_the_users_folder_where_the_data_cannot_be_written(source: Counted, home: Path) -> None:
    (source.images / ".visiontasks").write_text("no folder")
    for _ in range(2):
        folder = load_index(source).index.folder
        assert folder is not None
        assert folder.parent == home / "visiontasks"
    assert source.parses() == 1


def test_memory_where_nothing_can_be_written(source: Counted, home: Path) -> None:
    (source.images / ".visiontasks").write_text("no folder")
    home.write_text("no folder")
    with pytest.warns(UserWarning, match="VISIONTASKS_CACHE name a folder that can be written"):
        parsed = load_index(source)
    assert parsed.index.folder is None
    assert len(parsed.index.labels) == 5


def test_no_room_on_the_disk_leaves_nothing_behind(
    source: Counted, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def full(index: ImageIndex, folder: Path, extra: dict[str, object]) -> None:
        write_index(index, folder, extra)
        if home not in folder.parents:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_index", full)
    folder = load_index(source).index.folder
    assert folder is not None
    assert folder.parent == home / "visiontasks"
    assert all(path.suffix == ".lock" for path in (source.images / ".visiontasks").iterdir())


def test_where_an_index_is_kept(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folders(tmp_path) == [tmp_path / ".visiontasks", home / "visiontasks"]
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folders(tmp_path)[1] == Path.home() / ".cache" / "visiontasks"
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "chosen"))
    assert cache_folders(tmp_path) == [tmp_path / "chosen"]


def test_listings_and_absent_files_are_not_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    assert load_index(ImageFolder(tmp_path)).index.folder is None
    with pytest.raises(DataError, match="cannot be read"):
        load_index(CocoFile(tmp_path / "none" / "a.json", tmp_path))
    assert not (tmp_path / "none").exists()


def test_every_file_of_a_devkit_counts(tmp_path: Path) -> None:
    source = VocDevkit(write_devkit(tmp_path), "train")
    assert load_index(source).index.counts().tolist() == [0, 1, 2, 1]
    (tmp_path / "Annotations" / "empty.xml").write_text(xml([thing("bird", (1, 1, 5, 5))]))
    assert load_index(source).index.counts().tolist() == [1, 1, 2, 1]


def _load(source: Counted, results: "multiprocessing.Queue[Sequence[int]]") -> None:
    index = load_index(source).index
    results.put([os.getpid(), len(index.labels)])


def test_processes_that_start_together_parse_once(source: Counted) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[Sequence[int]] = context.Queue()
    processes = [context.Process(target=_load, args=(source, results)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert [count for _, count in found] == [5] * 4
    assert source.parses() == 1


def test_a_spawned_worker_gets_the_name_of_the_folder_only(source: Counted) -> None:
    index = load_index(source).index
    pickled = pickle.dumps(index)
    assert len(pickled) < 500
    copy = pickle.loads(pickled)
    assert isinstance(copy.labels.base, np.memmap)
    np.testing.assert_array_equal(copy.instance_masks(0), index.instance_masks(0))
