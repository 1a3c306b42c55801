from pathlib import Path

import numpy as np
import pytest

from visiontasks.data.index.folders import ClassFolders, ImageFolder, MaskFolders, MaskList
from visiontasks.data.index.problems import Parsed, Problem


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def only(parsed: Parsed) -> Problem:
    (problem,) = parsed.problems
    return problem


def test_folders_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.jpg", "big cat/é 😀.png", "dog/deep/2.jpg", "readme.txt", "stray.jpg", ".git/x.png")
    index = ClassFolders(tmp_path).parse().require()
    assert index.class_names == ("big cat", "dog")
    assert list(index.files) == ["big cat/é 😀.png", "dog/1.jpg", "dog/deep/2.jpg"]
    assert index.labels.tolist() == [0, 1, 1]
    assert index.offsets.tolist() == [0, 1, 2, 3]
    assert index.boxes is None
    assert all(index.file(image).exists() for image in range(3))


def test_images_that_are_left_out_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jfif", "cat/2.heic", "dog/1.PGM", "dog/3.HEIC", "dog/Thumbs.db", "stray.jpg", "notes.doc")
    parsed = ClassFolders(tmp_path).parse()
    assert list(parsed.require().files) == ["cat/1.jfif", "dog/1.PGM"]
    assert [(entry.severity, entry.kind, entry.record, entry.value) for entry in parsed.problems] == [
        ("warning", "files of a form that is not read", ".heic", "2, the first is 'cat/2.heic'"),
        ("warning", "images outside the folders of classes", "", "1, the first is 'stray.jpg'"),
    ]
    assert [entry.record for entry in ImageFolder(tmp_path).parse().problems] == [".doc", ".heic"]


def test_folders_that_repeat_in_every_class_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "fold1/cat/1.jpg", "fold1/dog/1.jpg", "fold2/cat/1.jpg", "fold2/dog/deep/1.jpg")
    problem = only(ClassFolders(tmp_path).parse())
    assert (problem.severity, problem.value) == ("warning", "fold1, fold2 hold cat, dog each")
    touch(tmp_path, "fold2/1.jpg")
    assert not ClassFolders(tmp_path).parse().problems


def test_other_splits_take_the_classes_of_training(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.jpg", "emu/1.jpg")
    parsed = ClassFolders(tmp_path, ("cat", "dog")).parse()
    assert [(entry.severity, entry.kind, entry.record) for entry in parsed.problems] == [
        ("warning", "class without images", "cat"),
        ("error", "unknown class", "emu/1.jpg"),
    ]
    assert parsed.index.labels.tolist() == [1]


def test_an_empty_class_is_reported(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.jpg", "cat/notes.txt")
    parsed = ClassFolders(tmp_path).parse()
    assert parsed.require().class_names == ("cat", "dog")
    assert (only(parsed).kind, only(parsed).record) == ("class without images", "cat")


def test_images_alone(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "a/1.JPG", "a/list.txt")
    index = ImageFolder(tmp_path).parse().require()
    assert (list(index.files), index.class_names, index.offsets.tolist()) == (["a/1.JPG", "b.png"], (), [0, 0, 0])


@pytest.mark.parametrize("name", ["", "none"])
def test_folders_without_images(tmp_path: Path, name: str) -> None:
    assert only(ImageFolder(tmp_path / name).parse()).kind == "folder holds no images"
    assert only(ClassFolders(tmp_path / name).parse()).kind == "folder holds no images"
    assert only(MaskFolders(tmp_path / name, "images", "masks", ()).parse()).kind == "folder holds no images"


def test_images_and_masks_of_the_same_stem(tmp_path: Path) -> None:
    touch(tmp_path, "x/a b.jpg", "x/deep/c.d.jpg", "y/a b.png", "y/deep/c.d.png", "y/more.png")
    parsed = MaskFolders(tmp_path, "x", "y", ("sky", "road")).parse()
    index = parsed.require()
    assert (only(parsed).severity, only(parsed).kind, only(parsed).record) == (
        "warning",
        "mask without image",
        "more.png",
    )
    assert index.masks is not None
    assert list(zip(index.files, index.masks, strict=True)) == [
        ("x/a b.jpg", "y/a b.png"),
        ("x/deep/c.d.jpg", "y/deep/c.d.png"),
    ]
    assert index.class_names == ("sky", "road")


def test_masks_that_are_missing_or_ambiguous(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/b.jpg", "y/b.png", "y/b.tif")
    parsed = MaskFolders(tmp_path, "x", "y", ("sky",)).parse()
    assert [(entry.severity, entry.kind, entry.record) for entry in parsed.problems] == [
        ("error", "two masks of one name", "b.tif"),
        ("error", "image without mask", "a.jpg"),
    ]


def test_masks_may_share_an_ending(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.jpg", "x/10.jpg", "x/11.jpg", "x/2.jpg")
    touch(tmp_path, "y/1_mask.png", "y/10_mask.png", "y/2.png", "y/12_mask.png")
    parsed = MaskFolders(tmp_path, "x", "y", ("sky",)).parse()
    assert parsed.index.masks is not None
    assert list(zip(parsed.index.files, parsed.index.masks, strict=True)) == [
        ("x/1.jpg", "y/1_mask.png"),
        ("x/10.jpg", "y/10_mask.png"),
        ("x/2.jpg", "y/2.png"),
    ]
    error, warning = parsed.problems
    assert (error.kind, error.record) == ("image without mask", "11.jpg")
    assert "with or without an ending that all masks share (1_mask.png)" in error.remedy
    assert (warning.kind, warning.record) == ("mask without image", "12_mask.png")


def test_lists_of_two_columns(tmp_path: Path) -> None:
    touch(tmp_path, "x/a b.jpg", "y/a b.png", "x/é.jpg", "y/é.png")
    (tmp_path / "list.txt").write_text("x/a b.jpg\ty/a b.png\n\nx/é.jpg   y/é.png\n")
    index = MaskList(tmp_path / "list.txt", tmp_path, ("sky",)).parse().require()
    assert index.masks is not None
    assert list(zip(index.files, index.masks, strict=True)) == [("x/a b.jpg", "y/a b.png"), ("x/é.jpg", "y/é.png")]


def test_lines_that_are_wrong_are_numbered(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png")
    (tmp_path / "list.txt").write_text(
        "a.jpg a.png\na.jpg\na.jpg a.png\n/x.jpg a.png\na.jpg b c.png\nb.jpg ../b.png\nc.jpg c.png\n"
    )
    parsed = MaskList(tmp_path / "list.txt", tmp_path, ("sky",)).parse()
    assert [(entry.kind, entry.record) for entry in parsed.problems] == [
        ("line does not hold two names", "line 2"),
        ("image is listed twice", "line 3"),
        ("file name leaves the folder of the images", "line 4"),
        ("line does not hold two names", "line 5"),
        ("file name leaves the folder of the images", "line 6"),
        ("image file is missing", "c.jpg"),
        ("mask file is missing", "c.png"),
    ]
    assert only(MaskList(tmp_path / "none.txt", tmp_path, ()).parse()).kind == "list cannot be read"


def test_camvid(data_root: Path) -> None:
    folder = data_root / "CamVid"
    if not folder.exists():
        pytest.skip("needs CamVid")
    names = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
    for split, count in (("train", 367), ("val", 101), ("test", 233)):
        parsed = MaskList(folder / f"{split}.txt", folder, names).parse()
        index = parsed.require()
        assert (len(index), len(parsed.problems)) == (count, 0)
        paired = MaskFolders(folder, split, f"{split}annot", names).parse().require()
        assert index.masks is not None
        assert paired.masks is not None
        assert sorted(zip(index.files, index.masks, strict=True)) == list(zip(paired.files, paired.masks, strict=True))
        assert np.diff(index.offsets).tolist() == [0] * count


def test_several_masks_of_each_image_as_in_cityscapes(tmp_path: Path) -> None:
    for city in ("aachen", "ulm"):
        for number in range(3):
            stem = f"{city}/{city}_00000{number}_000019"
            touch(tmp_path / "images", f"{stem}_leftImg8bit.png")
            for ending in ("color", "labelIds", "instanceIds"):
                touch(tmp_path / "masks", f"{stem}_gtFine_{ending}.png")
    parsed = MaskFolders(tmp_path, "images", "masks", ("a", "b")).parse()
    assert parsed.index.masks is not None
    assert [name.rpartition("_")[2] for name in parsed.index.masks] == ["labelIds.png"] * 6
    for image, mask in zip(parsed.index.files, parsed.index.masks, strict=True):
        assert image.removesuffix("_leftImg8bit.png")[6:] == mask.removesuffix("_gtFine_labelIds.png")[5:]
    assert [(problem.severity, problem.kind, problem.record) for problem in parsed.problems] == [
        ("warning", "other masks of the images", "*_gtFine_color"),
        ("warning", "other masks of the images", "*_gtFine_instanceIds"),
    ]


def test_images_and_masks_with_endings_of_their_own(tmp_path: Path) -> None:
    for number in range(4):
        touch(tmp_path / "images", f"{number}_image.png")
        touch(tmp_path / "masks", f"{number}_label.png")
    touch(tmp_path / "images", "9_image.png")
    parsed = MaskFolders(tmp_path, "images", "masks", ("a", "b")).parse()
    assert parsed.index.masks is not None
    assert [*parsed.index.masks] == [f"masks/{number}_label.png" for number in range(4)]
    assert [(problem.kind, problem.record) for problem in parsed.problems] == [("image without mask", "9_image.png")]
