"""The masks of a devkit's objects."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from tests.data.datamodules.image_sets import SIZES, save
from tests.data.index.voc_writer import thing, xml
from tests.test_instance_masks import drawn
from visiontasks import VOCDataModule
from visiontasks.data.check import check
from visiontasks.data.datamodules.layouts import LayoutError
from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset, ShapesSample
from visiontasks.data.index.packed import ImageIndex
from visiontasks.visualization.masks import voc_color_map


def samples(count: int) -> list[ShapesSample]:
    return [
        ShapesDataset(1, image_size=SIZES[number % 3], seed=number, min_objects=2, max_objects=5)[0]
        for number in range(count)
    ]


def write_devkit(root: Path, count: int = 6, *, shuffled: bool = False, coloured: bool = False) -> list[ShapesSample]:
    """Write shapes as VOC has them; shuffled, the numbers of masks are others than those of the XML files."""
    folder, drawn_shapes = root / "VOC2012", samples(count)
    for number, shape in enumerate(drawn_shapes):
        height, width = shape.owners.shape
        save(shape.image.permute(1, 2, 0).numpy().copy(), folder / "JPEGImages" / f"{number}.png")
        things = [
            thing(CLASS_NAMES[label], (x0 + 1, y0 + 1, x1, y1), "1" if position == 1 else "0")
            for position, ((x0, y0, x1, y1), label) in enumerate(
                zip(shape.boxes.int().tolist(), shape.box_labels.tolist(), strict=True)
            )
        ]
        (folder / "Annotations").mkdir(exist_ok=True)
        (folder / "Annotations" / f"{number}.xml").write_text(xml(things, (width, height)))
        owners = shape.owners.numpy().astype(np.uint8)
        if shuffled:
            owners = np.array([0, *np.random.default_rng(number).permutation(len(things)) + 1], np.uint8)[owners]
        # As in VOC, the border of the image is void.
        owners[0], classes = 255, np.where(owners == 255, 255, shape.mask.numpy())
        classes[0] = 255
        for kind, values in (("SegmentationObject", owners), ("SegmentationClass", classes)):
            values = voc_color_map()[values] if coloured else values.astype(np.uint8)
            save(values, folder / kind / f"{number}.png")
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    for split, numbers in (("train", range(count - 2)), ("val", range(count - 2, count))):
        text = "\n".join(map(str, numbers))
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text(text)
    if coloured:
        colours = voc_color_map().tolist()
        names = ("background", *CLASS_NAMES)
        lines = [f"{name}:{','.join(map(str, colours[value]))}::" for value, name in enumerate(names)]
        (folder / "labelmap.txt").write_text("\n".join(["ignore:224,224,192::", *lines]))
    return drawn_shapes


def index_of(root: Path, split: str = "train") -> ImageIndex:
    return VOCDataModule(root, "instances", class_names=CLASS_NAMES).splits[split].index


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("coloured", [False, True])
def test_masks_are_those_of_the_objects_of_the_xml_files(shuffled: bool, coloured: bool, tmp_path: Path) -> None:
    shapes = write_devkit(tmp_path, shuffled=shuffled, coloured=coloured)
    index = index_of(tmp_path)
    assert index.class_names == CLASS_NAMES
    for image, shape in enumerate(shapes[:4]):
        boxes, labels, ignore = index.objects(image)
        assert boxes is not None
        np.testing.assert_array_equal(boxes, shape.boxes)
        assert labels.tolist() == shape.box_labels.tolist()
        assert ignore.tolist() == [position == 1 for position in range(len(labels))]
        owners = shape.owners.numpy().copy()
        owners[0] = 0
        size = (owners.shape[0], owners.shape[1])
        expected = owners == np.arange(1, len(labels) + 1)[:, None, None]
        np.testing.assert_array_equal(drawn(*index.packed_masks(image, size), size), expected)


def test_an_object_of_one_of_both_files_alone_is_one(tmp_path: Path) -> None:
    shapes = write_devkit(tmp_path)
    folder = tmp_path / "VOC2012"
    # The first image has no XML file, the second no mask of its second object.
    (folder / "Annotations" / "0.xml").unlink()
    file = folder / "SegmentationObject" / "1.png"
    owners = np.array(Image.open(file))
    owners[owners == 2] = 0
    Image.fromarray(owners).save(file)
    data = VOCDataModule(tmp_path, "instances", class_names=CLASS_NAMES, num_workers=0)
    index, problems = data.splits["train"].index, data.splits["train"].problems
    first, second = index.objects(0), index.objects(1)
    assert sorted(first.labels.tolist()) == sorted(shapes[0].box_labels.tolist())
    visible = shapes[0].boxes.numpy().copy()
    visible[:, 1] = visible[:, 1].clip(1)  # without the void row
    assert first.boxes is not None
    assert sorted(first.boxes.tolist()) == sorted(visible.tolist())
    assert second.labels.tolist() == shapes[1].box_labels.tolist()
    assert index.packed_masks(1, (shapes[1].owners.shape[0], shapes[1].owners.shape[1]))[1].any(1).tolist() == [
        position != 1 for position in range(len(second.labels))
    ]
    (problem,) = problems
    assert (problem.severity, problem.kind) == ("warning", "object without segmentation")
    report = check(data)
    train = report.splits["train"]
    assert train.masks == train.counts.sum() - 1


def test_wrong_masks_are_named(tmp_path: Path) -> None:
    write_devkit(tmp_path)
    folder = tmp_path / "VOC2012"
    (folder / "SegmentationObject" / "0.png").unlink()
    Image.new("L", (9, 8)).save(folder / "SegmentationObject" / "1.png")
    for kind in ("SegmentationObject", "SegmentationClass"):
        Image.new("L", (9, 8)).save(folder / kind / "2.png")
    data = VOCDataModule(tmp_path, "instances", class_names=CLASS_NAMES)
    data.splits.strict = False
    errors = [problem for problem in data.splits["train"].problems if problem.severity == "error"]
    assert [problem.kind for problem in errors] == ["mask cannot be used", "masks of two sizes", "mask of another size"]
    assert "SegmentationObject/0.png" in errors[0].file
    assert "8 x 9 and 56 x 40" in errors[1].value
    assert "8 x 9 for an image of 48 x 48" in errors[2].value


def test_xml_files_without_a_devkit_have_no_masks(tmp_path: Path) -> None:
    save(np.zeros((8, 8, 3), np.uint8), tmp_path / "1.png")
    (tmp_path / "1.xml").write_text(xml([thing("cat", (1, 1, 4, 4))], (8, 8)))
    with pytest.raises(LayoutError, match="with ImageSets/"):
        VOCDataModule(tmp_path, "instances").setup("fit")


def test_real_masks_are_those_of_the_objects_that_they_were_drawn_from(data_root: Path) -> None:
    """The COCO sample in VOC's form: masks lack about three pixels at their borders, and what larger ones cover."""
    coco = COCO(data_root / "coco" / "annotations" / "instances_train2017.json")
    for split in ("train2017", "val2017"):
        part = json.loads((data_root / "coco" / "annotations" / f"instances_{split}.json").read_text())
        coco.dataset["images"] += part["images"]
        coco.dataset["annotations"] += part["annotations"]
    coco.createIndex()
    index = VOCDataModule(data_root / "coco_as_voc", "instances").splits["train"].index
    inside = []
    for image in range(len(index)):
        boxes = index.objects(image).boxes
        assert boxes is not None
        size = tuple(map(int, index.sizes[image]))
        masks = drawn(*index.packed_masks(image, (size[0], size[1])), (size[0], size[1]))
        for box, mask in zip(boxes, masks, strict=True):
            entries = coco.loadAnns(coco.getAnnIds(imgIds=[int(str(index.image_id(image)))]))
            corners = [np.array(e["bbox"])[[0, 1, 0, 1]] + np.array([0, 0, *e["bbox"][2:]]) for e in entries]
            nearest = int(np.abs(np.array(corners) - box).max(1).argmin())
            if mask.any():
                inside.append(float(coco.annToMask(entries[nearest])[mask != 0].mean()))
    assert len(inside) == 265
    assert np.mean(np.array(inside) > 0.95) > 0.98
