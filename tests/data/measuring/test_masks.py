from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from visiontasks import MaskFolderDataModule
from visiontasks.data.check import check, task_problems

COLOURS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Write 40 images with masks of three colours in a palette."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(40):
        Image.new("RGB", (6, 4), (number, 0, 0)).save(tmp_path / "images" / f"{number:02}.png")
        write_mask(tmp_path / "masks" / f"{number:02}.png", [0, 1, 2])
    return tmp_path


def write_mask(file: Path, order: list[int], ignored: bool = False) -> None:
    """Write the classes 0, 1, 2 in columns, numbered in an order of the palette's own."""
    indices = np.argsort(order).astype(np.uint8).repeat(2)[None].repeat(4, 0)
    if ignored:
        indices[0] = 255
    image = Image.frombytes("P", (6, 4), indices.tobytes())
    image.putpalette(COLOURS[order].ravel().tolist() + [9, 9, 9] * 253)
    image.save(file)


def module(root: Path, **options: Any) -> MaskFolderDataModule:  # noqa: ANN401 (its arguments)
    return MaskFolderDataModule(root, class_names=["a", "b", "c"], num_workers=0, **options)


def kinds(data: MaskFolderDataModule, *, files: bool) -> list[str]:
    return [problem.kind for problem in check(data, files=files).problems if problem.severity == "error"]


def test_one_palette_for_all_is_fine(root: Path) -> None:
    write_mask(root / "masks" / "03.png", [0, 1, 2], ignored=True)
    assert kinds(module(root), files=True) == kinds(module(root), files=False) == []


def test_palettes_that_contradict_one_another_are_an_error(root: Path) -> None:
    for number in range(1, 40, 2):
        write_mask(root / "masks" / f"{number:02}.png", [2, 1, 0])
    for files in (True, False):
        problems = [problem for problem in check(module(root), files=files).problems if problem.severity == "error"]
        assert problems[0].kind == "palettes of masks contradict one another"
        assert "0 is (0, 0, 0) in" in problems[0].value or "0 is (0, 128, 0) in" in problems[0].value
        assert "1 is" not in problems[0].value
    kind = "palettes of masks contradict one another"
    assert kind in [problem.kind for problem in task_problems(module(root), ["train"])]


def test_the_mode_of_the_first_masks_is_known_before_training(root: Path) -> None:
    for file in (root / "masks").iterdir():
        Image.open(file).convert("RGB").save(file)
    (problem, *others) = task_problems(module(root), ["train"])
    assert problem.kind == "mask cannot be used"
    assert "it has 3 channels that differ, expected one channel of classes" in problem.value
    assert not others
    assert kinds(module(root), files=False) == ["mask cannot be used"] * 3  # one of each split


def test_masks_that_are_left_out_do_not_stop_training(root: Path) -> None:
    data = module(root, on_error="skip")
    first = data.splits["train"].index
    assert first.masks is not None
    (root / first.masks[0]).write_bytes(b"")
    assert not task_problems(data, ["train"])
    assert [problem.kind for problem in task_problems(module(root), ["train"])] == ["mask cannot be used"]
