import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from tests.data.index.coco_writer import only, parse, small_set, write
from visiontasks.data.index.boxes import BoxFormat
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import count_kinds
from visiontasks.errors import DataError


def category_ids(index: ImageIndex) -> list[int | str]:
    return [index.category_id(label) for label in range(len(index.class_names))]


def hold_against_pycocotools(index: ImageIndex, file: Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(str(file))
    assert [index.image_id(image) for image in range(len(index))] == reference.getImgIds()
    assert category_ids(index) == sorted(reference.getCatIds())
    assert list(index.class_names) == [reference.cats[number]["name"] for number in sorted(reference.getCatIds())]
    assert index.areas is not None
    assert index.object_ids is not None
    for image, number in enumerate(reference.getImgIds()):
        record, objects = reference.imgs[number], reference.imgToAnns[number]
        rows = slice(index.offsets[image], index.offsets[image + 1])
        assert index.files[image] == record["file_name"]
        assert index.sizes[image].tolist() == [record["height"], record["width"]]
        boxes, labels, ignore = index.objects(image)
        corners = [
            [x, y, min(x + w, record["width"]), min(y + h, record["height"])]
            for x, y, w, h in (o["bbox"] for o in objects)
        ]
        assert boxes is not None
        assert boxes.tolist() == corners
        assert [index.category_id(label) for label in labels.tolist()] == [entry["category_id"] for entry in objects]
        assert ignore.tolist() == [bool(entry["iscrowd"]) for entry in objects]
        assert index.areas[rows].tolist() == [entry["area"] for entry in objects]
        assert index.object_ids[rows].tolist() == [entry["id"] for entry in objects]
        masks = index.instance_masks(image)
        assert masks.shape == (len(objects), record["height"], record["width"])
        for mask, entry in zip(masks, objects, strict=True):
            np.testing.assert_array_equal(mask, reference.annToMask(entry))


def test_hundredths_lose_nothing(tmp_path: Path) -> None:
    content = small_set()
    content["annotations"][4]["segmentation"] = [[0.29, 2.55, 7.41, 2.5, 7.4, 10.57]]
    index, _ = parse(tmp_path, content)
    assert index.segments is not None
    assert index.segments.values.dtype == np.uint16
    hold_against_pycocotools(index, tmp_path / "instances.json")


def test_everything_equals_pycocotools(tmp_path: Path) -> None:
    content = small_set()
    index, problems = parse(tmp_path, content)
    assert problems == []
    hold_against_pycocotools(index, tmp_path / "instances.json")
    assert index.segments is not None
    assert index.segments.values.dtype == np.float64  # a third has no two decimals


@pytest.mark.parametrize(
    ("split", "images", "objects", "crowds", "empty"), [("train2017", 170, 1694, 19, 1), ("val2017", 140, 1290, 21, 2)]
)
def test_real_coco_equals_pycocotools(
    data_root: Path, split: str, images: int, objects: int, crowds: int, empty: int
) -> None:
    file = data_root / "coco" / "annotations" / f"instances_{split}.json"
    if not file.exists():
        pytest.skip("needs coco")
    parsed = CocoFile(file, data_root / "coco" / split).parse()
    index = parsed.require()
    assert (len(index), len(index.labels), int(index.ignore.sum())) == (images, objects, crowds)
    assert int((np.diff(index.offsets) == 0).sum()) == empty
    assert (index.counts() > 0).sum() == len(index.class_names) == 80
    assert not parsed.problems
    hold_against_pycocotools(index, file)


@pytest.mark.parametrize(
    ("name", "images", "objects"), [("BCCD", (205, 87, 72), (2804, 1137, 945)), ("cards", (147, 33, 30), (147, 33, 30))]
)
def test_real_sets_with_own_classes(
    data_root: Path, name: str, images: tuple[int, ...], objects: tuple[int, ...]
) -> None:
    if not (data_root / name).exists():
        pytest.skip(f"needs {name}")
    for split, image_count, object_count in zip(("train", "val", "test"), images, objects, strict=True):
        file = data_root / name / "annotations" / f"instances_{split}.json"
        parsed = CocoFile(file, data_root / name / "VOCdevkit" / "VOC2007" / "JPEGImages").parse()
        index = parsed.require()
        assert (len(index), len(index.labels)) == (image_count, object_count)
        assert index.segments is None
        assert not parsed.problems


def test_only_what_is_needed(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 4, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 4, "name": "cell"}],
    }
    index, problems = parse(tmp_path, content)
    assert problems == []
    assert (index.class_names, category_ids(index), index.labels.tolist()) == (("cell",), [4], [0])
    assert (index.areas, index.segments) == (None, None)
    assert index.sizes.tolist() == [[0, 0]]
    assert index.boxes is not None
    assert index.boxes.tolist() == [[1, 2, 4, 6]]


def test_a_missing_area_is_that_of_the_box(tmp_path: Path) -> None:
    content = small_set()
    del content["annotations"][1]["area"]
    index, _ = parse(tmp_path, content)
    assert index.areas is not None
    assert index.areas.tolist()[0] == 2400


def test_empty_boxes_are_dropped_and_named(tmp_path: Path) -> None:
    content = small_set()
    content["annotations"][2].update(bbox=[10, 12, 0, 5], segmentation=[])
    content["annotations"][3]["bbox"] = [10, 12, 5, -1]
    index, problems = parse(tmp_path, content)
    assert count_kinds(problems) == {"box of zero area": 1, "box with negative width or height": 1}
    named = {problem.kind: problem for problem in problems}
    assert (problems[0].severity, named["box of zero area"].record) == ("warning", "annotations[2] (id 6)")
    assert named["box of zero area"].value == "[10, 12, 0, 5] in an image of 40 x 60 (height x width)"
    assert index.object_ids is not None
    assert index.object_ids.tolist() == [5, 9, 0, 10]
    assert index.instance_masks(0).shape == (2, 40, 60)


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0]])
@pytest.mark.parametrize("box_format", ["xywh", "xyxy"])
def test_a_box_that_lacks_is_that_of_the_segmentation(tmp_path: Path, bbox: object, box_format: BoxFormat) -> None:
    content = small_set()
    content["annotations"] = [content["annotations"][row] for row in (1, 2, 3)]
    expected = [[2, 20, 60, 40], [1, 1, 40.5, 32], [5, 5, 9, 9]]
    content["annotations"][0]["segmentation"]["counts"] = [100, 20, 2280]  # of columns 2 and 3
    expected[0] = [2, 20, 3, 40]
    for entry in content["annotations"]:
        entry["bbox"] = bbox
        entry["image_id"] = 7
    file = write(tmp_path, content)
    parsed = CocoFile(file, tmp_path, box_format).parse()
    assert not parsed.problems
    assert parsed.index.boxes is not None
    assert parsed.index.boxes.tolist() == expected
    for entry in content["annotations"]:
        del entry["segmentation"]
    kinds = count_kinds(CocoFile(write(tmp_path, content), tmp_path, box_format).parse().problems)
    assert kinds == {"box of zero area" if bbox else "object without box": 3}


def test_a_root_of_roboflow_is_not_a_class(tmp_path: Path) -> None:
    content = small_set()
    root = {"id": 0, "name": "things", "supercategory": "none"}
    for category in content["categories"]:
        category["supercategory"] = "things"
    for name in ("things", "person"):
        content["categories"] = [{**root, "name": name}, *small_set()["categories"]]
        for category in content["categories"][1:]:
            category["supercategory"] = name
        index, problems = parse(tmp_path, content)
        assert (problems, index.class_names) == ([], ("person", "car", "toothbrush"))
        assert [index.category_id(label) for label in range(3)] == [1, 3, 90]
    content["annotations"][0]["category_id"] = 0
    _, problems = parse(tmp_path, content)
    assert (only(problems).severity, only(problems).kind) == ("error", "category name occurs twice")


def test_repeated_ids_refuse_only_where_objects_refer_to_them(tmp_path: Path) -> None:
    content = small_set()
    content["images"] += [{**content["images"][0]}, {**content["images"][2], "file_name": "other.jpg"}]
    content["categories"] += [{**content["categories"][0]}, {"id": 77, "name": "x"}, {"id": 77, "name": "y"}]
    index, problems = parse(tmp_path, content)
    assert count_kinds(problems) == {"image id occurs twice": 2, "category id occurs twice": 2}
    assert {problem.severity for problem in problems} == {"warning"}
    assert (len(index), len(index.labels)) == (3, 6)
    content["images"][-2]["file_name"] = "other.jpg"
    _, problems = parse(tmp_path, content)
    assert sorted(problem.severity for problem in problems) == ["error", *["warning"] * 3]


def test_boxes_partly_outside_are_clipped_and_fully_outside_dropped(tmp_path: Path) -> None:
    content = small_set()
    content["annotations"][2]["bbox"] = [50, -10, 30, 20]
    content["annotations"][3]["bbox"] = [70, 10, 5, 5]
    content["annotations"][4]["bbox"] = [10, 10, 50.5, 5]
    index, problems = parse(tmp_path, content)
    assert count_kinds(problems) == {"box outside the image": 1, "box reaches out of the image": 1}
    boxes = index.objects(0).boxes
    assert boxes is not None
    assert boxes.tolist() == [[0, 0, 60, 40], [50, 0, 60, 10], [10, 10, 60, 15]]


def test_corners_declared_as_width_and_height(tmp_path: Path) -> None:
    content = small_set()
    for entry, box in zip(
        content["annotations"], ([5, 5, 40, 25], [30, 10, 60, 40], [20, 20, 55, 30]) * 2, strict=True
    ):
        entry["bbox"] = [box[0], box[1], min(box[2], 50), min(box[3], 30)]
    file = write(tmp_path, content)
    problem = only([entry for entry in CocoFile(file, tmp_path).parse().problems])
    assert problem.severity == "error"
    assert "look like [x0, y0, x1, y1]" in problem.kind
    assert "box_format='xyxy'" in problem.remedy
    index = CocoFile(file, tmp_path, box_format="xyxy").parse().require()
    assert index.boxes is not None
    assert index.boxes[0].tolist() == [30, 10, 50, 30]


def test_fractions_declared_as_pixels(tmp_path: Path) -> None:
    content = small_set()
    for entry in content["annotations"]:
        entry["bbox"] = [0.1, 0.25, 0.5, 0.75]
    _, problems = parse(tmp_path, content)
    assert only(problems).kind == "boxes from 0 to 1 are declared as pixels"


def test_duplicate_image_ids(tmp_path: Path) -> None:
    content = small_set()
    content["images"][2]["id"] = 7
    _, problems = parse(tmp_path, content)
    problem = only(problems)
    assert (problem.kind, problem.record, problem.value) == ("image id occurs twice", "image 7", "empty.jpg")


def test_unknown_category_is_an_error_and_unknown_image_a_warning(tmp_path: Path) -> None:
    content = small_set()
    content["annotations"][2]["category_id"] = 4
    content["annotations"][4]["image_id"] = 2**53
    index, problems = parse(tmp_path, content)
    assert [(problem.severity, problem.kind, problem.value) for problem in problems] == [
        ("warning", "object of an image that is not listed", f"image_id {2**53}"),
        ("error", "unknown category", "category_id 4"),
    ]
    assert len(index.labels) == 4


@pytest.mark.parametrize("name", ["../../x.jpg", "/etc/passwd", "a/../../x.jpg", "..\\x.jpg", "C:\\x.jpg", ""])
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    content = small_set()
    content["images"][2]["file_name"] = name
    index, problems = parse(tmp_path, content)
    problem = only(problems)
    assert (problem.severity, problem.record, problem.value) == ("error", "image 0", repr(name))
    assert len(index) == 2


def test_missing_images_are_counted_and_ten_listed(tmp_path: Path) -> None:
    content = small_set()
    content["images"] += [{"id": 100 + i, "file_name": f"none/{i:02d}.jpg"} for i in range(12)]
    file = write(tmp_path, content)
    for path in (tmp_path / "none").iterdir():
        path.unlink()
    with pytest.raises(DataError) as caught:
        CocoFile(file, tmp_path).parse().require()
    message = str(caught.value)
    assert message.startswith("12 errors in the annotations (12 x image file is missing):")
    assert [f"{i:02d}.jpg" in message for i in range(12)] == [True] * 10 + [False] * 2
    assert message.endswith("and 2 more.")


def test_no_annotations_at_all(tmp_path: Path) -> None:
    content = small_set() | {"annotations": []}
    index, problems = parse(tmp_path, content)
    assert problems == []
    assert [len(index.objects(image).labels) for image in range(3)] == [0, 0, 0]


def test_a_category_name_that_occurs_twice_is_an_error(tmp_path: Path) -> None:
    content = small_set()
    content["categories"][2]["name"] = "person"
    _, problems = parse(tmp_path, content)
    problem = only(problems)
    assert (problem.severity, problem.kind) == ("error", "category name occurs twice")
    assert (problem.record, problem.value) == ("category 3", "'person'")


def test_given_classes_are_found_by_name(tmp_path: Path) -> None:
    file = write(tmp_path, small_set())
    names = ("car", "tree", "toothbrush", "person")
    index = CocoFile(file, tmp_path, class_names=names).parse().require()
    assert (index.class_names, category_ids(index)) == (names, [3, -1, 90, 1])
    assert index.labels.tolist() == [3, 0, 2, 3, 2, 0]
    parsed = CocoFile(file, tmp_path, class_names=("persons", "toothbrush", "car")).parse()
    problem = only(list(parsed.problems))
    assert (problem.kind, problem.record, problem.value) == ("unknown class", "category 1", "'person' of 2 objects")
    assert problem.remedy == "Did you mean 'persons'?"
    assert parsed.index.labels.tolist() == [2, 1, 1, 2]
