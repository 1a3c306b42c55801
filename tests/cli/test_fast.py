"""The data that --fast generates, in the form that a recipe reads; every recipe runs on them in tests/recipes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visiontasks import (
    COCODataModule,
    MaskFolderDataModule,
    MNISTDataModule,
    ShapesDataModule,
    VOCDataModule,
    YOLODataModule,
)
from visiontasks.cli import fast
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset
from visiontasks.errors import ArgumentError
from visiontasks.instance_masks import unpack_masks

SIZES = {"train": 5, "val": 2, "test": 2}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of its own, with few images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fast, "_SIZES", SIZES)
    return tmp_path


def created(kind: Any, **choices: Any) -> Any:  # noqa: ANN401 (any data module)
    """Create a data module as a recipe with these choices would."""
    given = {f"data.{name}": value for name, value in choices.items()}
    short = fast.shortened(kind, given, [])
    options = {name.removeprefix("data."): value for name, value in short.items() if name.startswith("data.")}
    data = kind(**options)
    data.setup("fit")
    data.setup("test")
    return data


def drawn() -> ShapesDataset:
    return ShapesDataset(SIZES["val"], image_size=96, max_objects=3, seed=1)


@pytest.mark.parametrize("kind", [COCODataModule, VOCDataModule])
def test_boxes_are_those_of_the_shapes(kind: type) -> None:
    data = created(kind, task="detection", image_size=[64, 64])
    assert sorted(data.class_names) == sorted(CLASS_NAMES)
    assert [len(data.splits[split].index) for split in SIZES] == list(SIZES.values())
    index = data.splits["val"].index
    for number, sample in enumerate(drawn()[image] for image in range(SIZES["val"])):
        boxes, labels, ignore = index.objects(number)
        assert boxes.tolist() == sample.boxes.tolist()
        assert [data.class_names[label] for label in labels] == [CLASS_NAMES[label] for label in sample.box_labels]
        assert not ignore.any()


def test_masks_of_voc_are_numbered_as_its_classes_are() -> None:
    data = created(VOCDataModule, task="segmentation")
    masks = next(iter(data.val_dataloader())).masks
    for number in range(SIZES["val"]):
        names = np.array(["background", *CLASS_NAMES])[drawn()[number].mask.numpy()]
        assert (np.array(data.class_names)[masks[number].numpy()] == names).all()


def test_outlines_are_those_of_the_shapes() -> None:
    data = created(COCODataModule, task="instances")
    batch = next(iter(data.val_dataloader()))
    owners = drawn()[0].owners
    masks = unpack_masks(batch.mask_bits[0].numpy(), batch.mask_windows[0].numpy())
    assert [int(mask.sum()) for mask in masks] == [int((owners == n + 1).sum()) for n in range(int(owners.max()))]


def test_masks_in_folders_and_digits() -> None:
    names = ["sky", "a", "b", "c", "d", "e"]
    data = created(MaskFolderDataModule, class_names=names, ignore_index=5)
    assert torch.equal(next(iter(data.val_dataloader())).masks[0], drawn()[0].mask)
    digits = created(MNISTDataModule)
    assert set(digits.train_set.labels.tolist()) <= set(range(10))
    first = digits.test_set.pixels
    # Digits of a class resemble each other more than those of another.
    means = torch.stack([first[digits.test_set.labels == label].float().mean(0) for label in range(10)])
    assert len(torch.unique(means.flatten(1), dim=0)) == 10


def test_what_is_written_is_kept_and_the_same_each_time(folder: Path) -> None:
    fast.write_digits()
    file = folder / "generated" / "digits" / "train-images-idx3-ubyte.gz"
    pixels = file.read_bytes()
    file.write_bytes(b"mine")
    fast.write_digits()
    assert file.read_bytes() == b"mine"
    other = fast.write_digits(folder / "again") / file.name
    assert other.read_bytes()[10:] == pixels[10:]  # after the time in the header


def test_published_weights_and_networks_are_left_out() -> None:
    asked = {"model.backbone": "resnet50", "model.backbone_weights": "imagenet", "model.freeze": 2, "model.warmup": 0.5}
    short = fast.shortened(ShapesDataModule, asked, [])
    assert (short["model.backbone"], short["model.backbone_weights"], short["model.freeze"]) == ("cnn", None, "none")
    assert short["model.warmup"] == 0.5
    own = {"model.backbone": "cnn", "model.backbone_options": {"filters": [4]}}
    short = fast.shortened(ShapesDataModule, own, [])
    assert short["model.backbone_options"] == {"filters": [4]}
    assert "model.freeze" not in short


def test_data_of_ones_own_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"generates its data, and --data\.root is .mine."):
        fast.shortened(VOCDataModule, {}, ["--fast", "--data.root", "mine"])
    with pytest.raises(ArgumentError, match="--fast generates no data for YOLODataModule"):
        fast.shortened(YOLODataModule, {"data.task": "detection"}, ["--fast"])
