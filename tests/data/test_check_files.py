from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_coco, write_folders
from visiontasks import COCODataModule, FolderDataModule
from visiontasks.data.check import check
from visiontasks.data.index.problems import Problem


def of_kind(data: Any, kind: str) -> list[Problem]:  # noqa: ANN401 (any data module)
    return [problem for problem in check(data).problems if problem.kind == kind]


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_annotated_images_with_an_orientation_are_counted(orientation: int, tmp_path: Path) -> None:
    write_coco(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("3.png", "8.png"):
        Image.open(tmp_path / "train" / name).save(tmp_path / "train" / name, exif=exif)
    kind = "annotated images have an EXIF orientation"
    problems = of_kind(COCODataModule(tmp_path, num_workers=0), kind)
    if orientation == 1:
        assert not problems
        return
    (problem,) = problems
    assert problem.severity == "warning"
    assert problem.value.startswith("2 of 12, the first is '")
    assert problem.value.endswith(f"3.png' (orientation {orientation})")
    assert "exif='ignore'" in problem.remedy
    assert not of_kind(COCODataModule(tmp_path, num_workers=0, exif="ignore"), kind)


def test_without_boxes_or_masks_an_orientation_does_not_matter(tmp_path: Path) -> None:
    write_folders(tmp_path)
    file = next((tmp_path / "train").rglob("*.png"))
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.open(file).save(file, exif=exif)
    assert not of_kind(FolderDataModule(tmp_path, num_workers=0), "annotated images have an EXIF orientation")


def write_deep(root: Path, maximum: int) -> Path:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(10):
            pixels = random.integers(0, maximum + 1, (20, 24), dtype=np.uint16)
            pixels[0, 0] = maximum
            cv2.imwrite(str(root / name / f"{number}.png"), pixels)
    return root


@pytest.mark.parametrize(("maximum", "levels"), [(4095, 16), (10_000, 40), (16_384, 0), (65_535, 0)])
def test_16_bits_that_use_few_are_counted_with_their_range(maximum: int, levels: int, tmp_path: Path) -> None:
    data = FolderDataModule(write_deep(tmp_path, maximum), in_channels=1, num_workers=0)
    kind = "16-bit values that use few of their bits"
    problems = [problem for problem in of_kind(data, kind) if problem.record == "train"]
    assert len(problems) == bool(levels)
    for problem in problems:
        assert f"the maximum {maximum} of 65535" in problem.value
        assert f"{levels} grey levels. Map them by value_range=(0, {maximum})" in problem.remedy
    assert not of_kind(FolderDataModule(tmp_path, in_channels=1, num_workers=0, value_range=(0, maximum)), kind)


def test_links_that_lead_out_of_the_folder_are_counted(tmp_path: Path) -> None:
    write_folders(tmp_path / "set")
    names = sorted((tmp_path / "set" / "train").rglob("*.png"))
    (tmp_path / "elsewhere").mkdir()
    for number, name in enumerate(names[:2]):
        name.rename(tmp_path / "elsewhere" / f"{number}.png")
        name.symlink_to(tmp_path / "elsewhere" / f"{number}.png")
    (names[2].parent / "inside.png").symlink_to(names[2])
    (problem,) = of_kind(FolderDataModule(tmp_path / "set", num_workers=0), "links that lead out of the folder")
    assert problem.value.startswith("2 of 13, the first is")


def test_links_to_nothing_are_errors(tmp_path: Path) -> None:
    write_folders(tmp_path)
    file = next((tmp_path / "train").rglob("*.png"))
    file.unlink()
    file.symlink_to(tmp_path / "gone.png")
    (problem,) = of_kind(FolderDataModule(tmp_path, num_workers=0), "image file is missing")
    assert problem.severity == "error"


def test_an_image_in_two_classes_says_which(tmp_path: Path) -> None:
    write_folders(tmp_path)
    file = next((tmp_path / "train" / "circle").glob("*.png"))
    (tmp_path / "train" / "star" / "again.png").write_bytes(file.read_bytes())
    (problem,) = of_kind(FolderDataModule(tmp_path, num_workers=0), "same image in two classes")
    assert problem.value.startswith("'star' here, 'circle' in train as ")
