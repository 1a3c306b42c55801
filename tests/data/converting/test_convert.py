"""Folders that are written, with what becomes of the images."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.datamodules.image_sets import write_coco, write_yolo
from visiontasks import COCODataModule, YOLODataModule
from visiontasks.data.converting.convert import convert
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_images_are_copied_linked_or_left(tmp_path: Path) -> None:
    data = YOLODataModule(write_yolo(tmp_path / "set", 2))
    source = tmp_path / "set" / "train" / "images" / "0.png"
    for images in ("copy", "link", "none"):
        done = convert(data, "yolo", tmp_path / images, images)
        target = done.images_folder / "train" / "0.png"
        assert target.exists() == (images != "none")
        if images != "none":
            assert target.read_bytes() == source.read_bytes()
            assert target.samefile(source) == (images == "link")
            assert not target.is_symlink()
    shared = {f"{part}/{split}/{number}" for part in ("labels",) for split in ("train", "valid") for number in (0, 1)}
    assert files(tmp_path / "none") == {f"{name}.txt" for name in shared} | {"data.yaml", "train.txt", "val.txt"}


def test_a_link_is_symbolic_where_it_cannot_be_hard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.chdir(tmp_path)
    write_yolo(Path("set"), 4)
    done = convert(YOLODataModule("set"), "coco", "out", "link")
    assert (done.images_folder / "train" / "0.png").is_symlink()
    data = COCODataModule("out")
    data.setup("fit")
    assert len(data.train_set.pixels(0))


@pytest.mark.parametrize("existing", ["file", "folder"])
def test_what_is_there_is_not_touched(existing: str, tmp_path: Path) -> None:
    data = YOLODataModule(write_yolo(tmp_path / "set", 2))
    target = tmp_path / "out" / "mine.txt" if existing == "folder" else tmp_path / "out"
    target.parent.mkdir(exist_ok=True)
    target.write_text("mine")
    with pytest.raises(ArgumentError, match="is there and not empty; name a new folder"):
        convert(data, "coco", tmp_path / "out")
    assert target.read_text() == "mine"
    target.unlink()
    convert(data, "coco", tmp_path / "out")  # an empty folder is fine
    assert "annotations/instances_train.json" in files(tmp_path / "out")


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    data = YOLODataModule(write_yolo(tmp_path / "set", 2))
    with pytest.raises(ArgumentError, match="form is 'yolov8'"):
        convert(data, "yolov8", tmp_path / "out")
    with pytest.raises(ArgumentError, match="images is 'move'"):
        convert(data, "yolo", tmp_path / "out", "move")


def test_images_that_cannot_be_read_end_it_or_are_left_out(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "set", 4)
    for split in ("train", "val"):
        file = root / "annotations" / f"instances_{split}.json"
        file.write_text(file.read_text().replace('"height"', '"h"'))
    (root / "val" / "0.png").write_bytes(b"no image")
    with pytest.raises(UnreadableFileError, match=r"val/0\.png"):
        convert(COCODataModule(root), "csv", tmp_path / "out")
    done = convert(COCODataModule(root, on_error="skip"), "csv", tmp_path / "out")
    assert done.omitted["images that cannot be read"] == 1
    assert done.images == {"train": 4, "val": 3}
    assert len([name for name in files(tmp_path / "out") if name.endswith(".png")]) == 7


def test_errors_in_annotations_end_it_and_leave_nothing(tmp_path: Path) -> None:
    root = write_yolo(tmp_path / "set", 2)
    (root / "valid" / "labels" / "0.txt").write_text("9 .5 .5 .1 .1\n")
    with pytest.raises(DataError, match="unknown class number"):
        convert(YOLODataModule(root), "voc", tmp_path / "deep" / "out")
    (root / "valid" / "labels" / "0.txt").write_text("1 .5 .5 .1 .1\n")
    data = YOLODataModule(root)
    assert len(data.splits["val"].index) == 2
    (root / "valid" / "images" / "0.png").unlink()
    with pytest.raises(FileNotFoundError):
        convert(data, "voc", tmp_path / "deep" / "out")
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_conversion_that_is_killed_leaves_no_folder_and_the_next_one_cleans_up(tmp_path: Path) -> None:
    write_yolo(tmp_path / "set", 2)
    code = (
        "import os, shutil, signal; from visiontasks import YOLODataModule\n"
        "from visiontasks.data.converting.convert import convert\n"
        "shutil.copyfile = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "convert(YOLODataModule('set'), 'yolo', 'out')"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120, cwd=tmp_path, env=environment)
    assert done.returncode == -signal.SIGKILL
    (left,) = [path for path in tmp_path.iterdir() if path.name.startswith(".out.")]
    assert "data.yaml" in files(left)
    assert not (tmp_path / "out").exists()
    convert(YOLODataModule(tmp_path / "set"), "yolo", tmp_path / "out")
    assert not left.exists()
    assert "data.yaml" in files(tmp_path / "out")
