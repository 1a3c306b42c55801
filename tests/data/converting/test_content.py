from pathlib import Path

import pytest

from tests.data.datamodules.image_sets import write_masks
from visiontasks import MaskFolderDataModule
from visiontasks.data.converting.content import name_images
from visiontasks.data.converting.convert import convert
from visiontasks.errors import ArgumentError, DataError


def named(*names: str) -> list[str]:
    return list(name_images({Path("/root", name): name for name in names}).values())


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["JPEGImages/1.jpg", "JPEGImages/2.jpg"], ["1.jpg", "2.jpg"]),
        (["train/images/1.jpg", "valid/images/1.jpg"], ["train/1.jpg", "valid/1.jpg"]),
        (["a/x/1.jpg", "a/y/1.jpg", "a/y/2.jpg"], ["x/1.jpg", "y/1.jpg", "y/2.jpg"]),
        (["a/x/1.jpg", "b/x/1.jpg"], ["a/x/1.jpg", "b/x/1.jpg"]),
        (["images/1.jpg", "1.jpg"], ["images/1.jpg", "1.jpg"]),
        (["1.jpg", "1.png", "1.JPG"], ["1.jpg", "1_png.png", "1_JPG.JPG"]),
        (["1.jpg", "1.png", "1_png.jpg"], ["1.jpg", "1_png.png", "1_png_jpg.jpg"]),
        ([], []),
    ],
)
def test_names_are_short_and_differ_without_their_suffixes(names: list[str], expected: list[str]) -> None:
    assert named(*names) == expected
    assert len({name.rpartition(".")[0] for name in expected}) == len(names)


def test_a_name_that_is_not_unicode_is_an_error() -> None:
    with pytest.raises(DataError, match="not valid Unicode"):
        named("a\udcff.jpg")


def test_masks_in_files_are_refused(tmp_path: Path) -> None:
    data = MaskFolderDataModule(write_masks(tmp_path / "set"), class_names=["a", "b", "c", "d", "e"])
    with pytest.raises(ArgumentError, match="masks in files, which none of the forms holds"):
        convert(data, "coco", tmp_path / "coco")
