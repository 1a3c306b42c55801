"""Folders of the numbers of objects."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.data.index.test_voc_instances import samples
from tests.test_instance_masks import drawn
from visiontasks import MaskFolderDataModule
from visiontasks.data.check import check
from visiontasks.data.datamodules.layouts import LayoutError
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesSample
from visiontasks.data.index.packed import ImageIndex
from visiontasks.errors import ArgumentError, DataError

NAMES = ("background", *CLASS_NAMES)
VALUES = {name: label + 24 for label, name in enumerate(CLASS_NAMES)}


def write(file: Path, values: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), values[:, :, ::-1] if values.ndim == 3 else values)


def write_folders(root: Path, layout: str = "{kind}/{split}") -> dict[str, list[ShapesSample]]:
    """Write images, numbers (37 apart, in 16 bits) and classes."""
    shapes = samples(6)
    splits = {"train": shapes[:4], "val": shapes[4:]}
    for split, of_split in splits.items():
        for number, shape in enumerate(of_split):
            folders = {kind: root / layout.format(kind=kind, split=split) for kind in ("images", "instances", "masks")}
            write(folders["images"] / f"{number}.png", shape.image.permute(1, 2, 0).numpy())
            write(folders["instances"] / f"{number}.png", (shape.owners.numpy() * 2000).astype(np.uint16))
            write(folders["masks"] / f"{number}.png", shape.mask.numpy())
    return splits


def check_objects(index: ImageIndex, shapes: list[ShapesSample], labels_are: Any = None) -> None:  # noqa: ANN401 (labels)
    assert len(index) == len(shapes)
    for image, shape in enumerate(shapes):
        boxes, labels, _ = index.objects(image)
        np.testing.assert_array_equal(boxes, shape.boxes)
        assert labels.tolist() == (shape.box_labels.tolist() if labels_are is None else [labels_are] * len(labels))
        size = (shape.owners.shape[0], shape.owners.shape[1])
        masks = shape.owners.numpy() == np.arange(1, len(labels) + 1)[:, None, None]
        np.testing.assert_array_equal(drawn(*index.packed_masks(image, size), size), masks)


@pytest.mark.parametrize("layout", ["{kind}/{split}", "{split}/{kind}"])
def test_classes_come_from_the_mask_of_classes(layout: str, tmp_path: Path) -> None:
    splits = write_folders(tmp_path, layout)
    data = MaskFolderDataModule(tmp_path, "instances", class_names=NAMES, num_workers=0)
    assert data.class_names == CLASS_NAMES
    for split, shapes in splits.items():
        check_objects(data.splits[split].index, shapes)
    report = check(data)
    assert report.exit_code == 0, report.problems
    assert report.splits["train"].masks == sum(len(shape.boxes) for shape in splits["train"])
    # The names may stand in a file, in an order of their own, and the labels be those of a checkpoint.
    (tmp_path / "classes.txt").write_text("\n".join(f"{value} {name}" for value, name in enumerate(NAMES)))
    check_objects(MaskFolderDataModule(tmp_path, "instances").splits["train"].index, splits["train"])
    data = MaskFolderDataModule(tmp_path, "instances")
    data.splits.name_classes(CLASS_NAMES[::-1])
    labels = data.splits["train"].index.objects(0).labels
    assert labels.tolist() == [3 - label for label in splits["train"][0].box_labels.tolist()]


def test_one_class_needs_no_mask_of_classes(tmp_path: Path) -> None:
    splits = write_folders(tmp_path)
    (tmp_path / "masks").rename(tmp_path / "elsewhere")
    for names in (("cell",), ("background", "cell")):
        data = MaskFolderDataModule(tmp_path, "instances", class_names=names)
        assert data.class_names == ("cell",)
        check_objects(data.splits["train"].index, splits["train"], 0)
    with pytest.raises(DataError, match=r"numbers of objects .* nothing says which of the classes circle, square"):
        MaskFolderDataModule(tmp_path, "instances", class_names=NAMES).setup("fit")
    with pytest.raises(DataError, match="nothing says which classes they are"):
        MaskFolderDataModule(tmp_path, "instances").setup("fit")


def test_numbers_that_say_the_class_as_those_of_cityscapes(tmp_path: Path) -> None:
    shapes = samples(6)
    for split, of_split in {"train": shapes[:4], "val": shapes[4:]}.items():
        for number, shape in enumerate(of_split):
            owners, classes = shape.owners.numpy(), shape.mask.numpy().astype(np.int64)
            ids = np.where(owners > 0, (classes + 23) * 1000 + owners - 1, 7)
            if number == 0:  # objects that are not told apart
                ids = np.where(owners == 1, classes + 23, ids)
            name = f"town/{number}"
            write(tmp_path / "leftImg8bit" / split / f"{name}_leftImg8bit.png", shape.image.permute(1, 2, 0).numpy())
            for kind in ("instanceIds", "labelIds"):
                write(tmp_path / "gtFine" / split / f"{name}_gtFine_{kind}.png", ids.astype(np.uint16))
    options: Any = {"images": "leftImg8bit", "instances": "gtFine", "label_divisor": 1000, "mask_values": VALUES}
    index = MaskFolderDataModule(tmp_path, "instances", **options).splits["train"].index
    assert index.class_names == CLASS_NAMES
    assert index.files[0] == "leftImg8bit/train/town/0_leftImg8bit.png"
    for image, shape in enumerate(shapes[:4]):
        boxes, labels, ignore = index.objects(image)
        assert sorted(labels.tolist()) == sorted(shape.box_labels.tolist())
        assert boxes is not None
        assert sorted(boxes.tolist()) == sorted(shape.boxes.tolist())
        assert boxes[ignore].tolist() == (shape.boxes[:1].tolist() if image == 0 else [])
    # A class that is not named has no objects.
    del options["mask_values"]
    some = MaskFolderDataModule(tmp_path, "instances", mask_values={"star": 27}, **options).splits["train"].index
    assert some.counts().tolist() == [index.counts()[3]]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    write_folders(tmp_path)
    write(tmp_path / "masks" / "train" / "1.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "masks" / "train" / "2.png").unlink()
    file = tmp_path / "masks" / "train" / "0.png"
    Image.fromarray(np.array(Image.open(file)) * 0).save(file)
    data = MaskFolderDataModule(tmp_path, "instances", class_names=NAMES)
    data.splits.strict = False
    kinds = {(problem.severity, problem.kind) for problem in data.splits["train"].problems}
    assert kinds == {
        ("error", "masks of two sizes"),
        ("error", "mask cannot be used"),
        ("warning", "object without a class"),
    }
    assert len(data.splits["train"].index.objects(0).labels) == 0


def test_folders_and_arguments_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="instances and label_divisor are those of task 'instances'"):
        MaskFolderDataModule(tmp_path, instances="objects")
    with pytest.raises(ArgumentError, match="label_divisor is 1; expected at least 2"):
        MaskFolderDataModule(tmp_path, "instances", label_divisor=1)
    write(tmp_path / "images" / "1.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(LayoutError, match=r"Name the folders with images='\.\.\.' and instances='\.\.\.'"):
        MaskFolderDataModule(tmp_path, "instances", class_names=["cell"]).setup("fit")
