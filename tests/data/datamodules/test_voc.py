from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.index.voc_writer import thing, write_devkit, xml
from visiontasks import VOCDataModule
from visiontasks.data.datamodules.voc import VOC_CLASSES
from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.errors import DataError

PETS = {name: xml([thing(name, (1, 1, 20, 20))]) for name in ("dog", "cat")}


@pytest.mark.parametrize("split", ["", "train"])
def test_a_folder_has_the_classes_that_occur(tmp_path: Path, split: str) -> None:
    (tmp_path / split).mkdir(exist_ok=True)
    for stem, text in PETS.items():
        (tmp_path / split / f"{stem}.xml").write_text(text)
        (tmp_path / split / f"{stem}.jpg").touch()
    assert VOCDataModule(tmp_path).class_names == ("cat", "dog")


def test_a_devkit_has_the_classes_of_voc_unless_others_occur(tmp_path: Path) -> None:
    lists = {"train": ["dog"], "val": ["cat"]}
    write_devkit(tmp_path / "a", PETS, lists)
    assert VOCDataModule(tmp_path / "a").class_names == VOC_CLASSES
    write_devkit(tmp_path / "b", {**PETS, "fox": xml([thing("fox", (1, 1, 20, 20))])}, lists)
    assert VOCDataModule(tmp_path / "b").class_names == ("cat", "dog", "fox")


def test_the_only_list_of_a_devkit_is_dealt(tmp_path: Path) -> None:
    write_devkit(tmp_path, PETS, {"default": ["dog", "cat"]})
    data = VOCDataModule(tmp_path, fractions=(0.5, 0.5, 0))
    assert [len(data.splits[split].index) for split in ("train", "val")] == [1, 1]
    (tmp_path / "ImageSets" / "Main" / "default.txt").rename(tmp_path / "ImageSets" / "Main" / "test.txt")
    with pytest.raises(DataError, match="Lists there: test"):
        _ = VOCDataModule(tmp_path).splits["train"]


def test_years_are_joined(tmp_path: Path) -> None:
    later = {f"2008_{name}": xml([thing(name, (3, 1, 20, 20)), thing("cat", (1, 1, 9, 9))]) for name in ("dog", "cat")}
    write_devkit(tmp_path / "VOCdevkit" / "VOC2007", PETS, {"trainval": ["dog"], "test": ["cat"]})
    write_devkit(tmp_path / "VOCdevkit" / "VOC2012", later, {"trainval": ["2008_dog", "2008_cat"], "val": ["2008_cat"]})
    data = VOCDataModule(tmp_path, year=["2007", "2012"], train="trainval", val="test")
    train, val = (data.splits[split].index for split in ("train", "val"))
    assert data.class_names == VOC_CLASSES
    assert [train.image_id(image) for image in range(len(train))] == ["dog", "2008_dog", "2008_cat"]
    assert [train.file(image).parts[-3] for image in range(3)] == ["VOC2007", "VOC2012", "VOC2012"]
    assert all(train.file(image).is_file() for image in range(3))
    alone = VOCDataModule(tmp_path, year="2012", train="trainval").splits["train"].index
    for image in range(2):
        for joined, single in zip(train.objects(1 + image), alone.objects(image), strict=True):
            np.testing.assert_array_equal(np.asarray(joined), np.asarray(single))
    assert [train.class_names[label] for label in train.objects(2).labels] == ["cat", "cat"]
    assert [val.image_id(image) for image in range(len(val))] == ["cat"]
    with pytest.raises(DataError, match="VOC2010/ImageSets"):
        _ = VOCDataModule(tmp_path, year=["2007", "2010"]).splits["train"]


@pytest.mark.parametrize("class_names", [None, ("sun", "sea")])
def test_masks_in_the_colours_of_a_label_map(class_names: tuple[str, ...] | None, tmp_path: Path) -> None:
    """CVAT writes masks in RGB, a list without splits, and no XML files."""
    colours = {"background": (0, 0, 0), "sea": (0, 0, 250), "sun": (250, 250, 0)}
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / folder).mkdir(parents=True)
    mask = np.array([[0, 1], [2, 0]])
    for number in range(4):
        Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / "JPEGImages" / f"{number}.png")
        shown = np.array(list(colours.values()), np.uint8)[mask]
        Image.fromarray(shown).save(tmp_path / "SegmentationClass" / f"{number}.png")
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").write_text("0\n1\n2\n3\n")
    lines = [f"{name}:{','.join(map(str, colour))}::" for name, colour in colours.items()]
    (tmp_path / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", *lines]))
    data = VOCDataModule(tmp_path, "segmentation", class_names=class_names, num_workers=0)
    names = class_names or ("sea", "sun")
    assert data.class_names == ("background", *names)
    data.setup("fit")
    assert isinstance(data.train_set, SegmentationDataset)
    expected = np.array([0, 1, 2] if class_names is None else [0, 2, 1])[mask]
    assert np.array_equal(data.train_set.mask(0), expected)
    with pytest.raises(DataError, match=r"labelmap\.txt' has no colour for 'see'\. Did you mean 'sea'"):
        _ = VOCDataModule(tmp_path, "segmentation", class_names=["see", "sun"]).splits["train"]
