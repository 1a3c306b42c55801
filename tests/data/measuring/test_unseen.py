from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from visiontasks import MaskFolderDataModule
from visiontasks.data.check import check, task_problems
from visiontasks.data.measuring.unseen import similar_classes

BINARY = np.repeat(np.array([0, 255], np.uint8), 8).reshape(4, 4)


@pytest.fixture
def data(tmp_path: Path) -> MaskFolderDataModule:
    """Write ten images with masks of 0 and 255, as drawing programs make them."""
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(BINARY).save(tmp_path / "masks" / f"{number}.png")
    return MaskFolderDataModule(tmp_path, class_names=["ground", "thing"], num_workers=0)


def found(data: MaskFolderDataModule) -> list[tuple[str, str, str]]:
    return [(problem.severity, problem.kind, problem.record) for problem in check(data).problems]


def test_masks_of_0_and_255_are_an_error(data: MaskFolderDataModule) -> None:
    binary = ("error", "every object is ignored", "train")
    assert found(data) == [binary, ("warning", "class without pixels in training", "thing")]
    (problem,) = task_problems(data, ["train", "val", "test"])
    assert problem.remedy.startswith("255 stands for pixels that are ignored: name what it stands for by mask_values")
    values = {"ground": 0, "thing": 255}
    assert not check(MaskFolderDataModule(data.root, mask_values=values, num_workers=0)).problems


def test_masks_are_read_until_one_holds_an_object(data: MaskFolderDataModule) -> None:
    data.on_error = "skip"
    index = data.splits["train"].index
    assert index.masks is not None
    (data.root / index.masks[0]).write_bytes(b"")  # is an error of its own
    Image.fromarray(np.where(BINARY == 255, 1, 0).astype(np.uint8)).save(data.root / index.masks[3])
    assert not task_problems(data, ["train"])


def test_empty_masks_and_another_value_of_what_is_ignored_are_none(data: MaskFolderDataModule) -> None:
    data.ignore_index = 254
    assert [problem.kind for problem in task_problems(data, ["train"])] == ["mask cannot be used"]  # 255 is not a class
    for file in (data.root / "masks").iterdir():
        Image.new("L", (4, 4)).save(file)
    data.ignore_index = 255
    assert found(data) == [("warning", "class without pixels in training", "thing")]


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (("Cat", "cat", "dog"), "'Cat' and 'cat'"),
        (("1", "1.0", "01", "2"), "'1' and '1.0' and '01'"),
        (("stop sign", "stop_sign", "Stop-Sign"), "'stop sign' and 'stop_sign' and 'Stop-Sign'"),
        (("\ufb01sh", "fish", "nan car"), "'\ufb01sh' and 'fish'"),
        (("cat", "NaN"), "'NaN'"),
    ],
)
def test_spellings_of_one_class_are_named(names: tuple[str, ...], value: str) -> None:
    (problem,) = similar_classes(names, "root")
    assert (problem.severity, problem.file, problem.value) == ("warning", "root", value)


def test_names_that_differ_are_not_suspected() -> None:
    assert similar_classes(("cat", "cats", "1", "10", "-1", "a1", "none"), "root") == []


def test_of_one_class_there_may_be_nothing_but_what_is_ignored(data: MaskFolderDataModule) -> None:
    alone = MaskFolderDataModule(data.root, class_names=["ground"], num_workers=0)
    assert not task_problems(alone, ["train"])
