import json
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from tests.data.index.coco_writer import only, parse, small_set, write
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.storage import read_index, write_index
from visiontasks.errors import DataError


@pytest.mark.parametrize(
    ("bbox", "found"),
    [
        (["1", "2", "3", "x"], "Expected `float`, got `str` - at `$.bbox[3]`"),
        ([1, 2, 3], "Expected `array` of length 4, got 3"),
    ],
)
def test_malformed_boxes_are_named_among_good_records(tmp_path: Path, bbox: object, found: str) -> None:
    content = small_set()
    content["annotations"][2]["bbox"] = bbox
    index, problems = parse(tmp_path, content)
    problem = only(problems)
    assert (problem.severity, problem.kind, problem.record) == ("error", "malformed record", "annotations[2] (id 6)")
    assert found in problem.value
    assert repr(bbox) in problem.value
    assert index.object_ids is not None
    assert index.object_ids.tolist() == [5, 2**60, 9, 0, 10]


def test_integers_that_are_written_otherwise(tmp_path: Path) -> None:
    content = small_set()
    content["annotations"] = [entry for entry in content["annotations"] if entry["id"] < 2**53]
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] < 2**53]
    content["images"] = [entry for entry in content["images"] if entry["id"] < 2**53]
    expected, _ = parse(tmp_path, content)
    for entry in chain(*content.values()):
        integers = [name for name, value in entry.items() if isinstance(value, int)]
        entry.update({name: float(entry[name]) for name in integers})
    index, problems = parse(tmp_path, content)
    assert problems == []
    for name in ("image_ids", "category_ids", "sizes", "labels", "ignore", "object_ids", "boxes"):
        assert getattr(index, name).tolist() == getattr(expected, name).tolist()


@pytest.mark.parametrize(
    "write_id", [str, "{:012d}".format, lambda number: number + 2**64], ids=["60", "0060", "2**64"]
)
def test_ids_stay_what_they_are(tmp_path: Path, write_id: Callable[[int], int | str]) -> None:
    content = small_set()
    expected, _ = parse(tmp_path, content)
    for image in content["images"]:
        image["id"] = write_id(image["id"])
    for category in content["categories"]:
        category["id"] = write_id(category["id"])
    for entry in content["annotations"]:
        entry.update({name: write_id(entry[name]) for name in ("id", "image_id", "category_id")})
    index, problems = parse(tmp_path, content)
    assert problems == []
    assert [index.image_id(image) for image in range(3)] == [entry["id"] for entry in content["images"]]
    assert [index.category_id(label) for label in range(3)] == [write_id(number) for number in (1, 3, 90)]
    assert (index.class_names, index.labels.tolist()) == (expected.class_names, expected.labels.tolist())
    write_index(index, tmp_path / "packed", {})
    packed = read_index(tmp_path / "packed")
    assert [packed.image_id(image) for image in range(3)] == [entry["id"] for entry in content["images"]]
    assert packed.subset([2, 0]).image_id(0) == content["images"][2]["id"]


def test_a_reference_may_be_written_otherwise_than_the_id(tmp_path: Path) -> None:
    content = small_set()
    for entry in content["annotations"]:
        entry.update(image_id=str(entry["image_id"]), category_id=str(entry["category_id"]))
    index, problems = parse(tmp_path, content)
    assert problems == []
    assert (index.image_id(0), len(index.labels)) == (7, 6)


def test_names_of_categories_that_are_numbers(tmp_path: Path) -> None:
    content = small_set()
    for category, name in zip(content["categories"], (7, 0, 2.5), strict=True):
        category["name"] = name
    index, problems = parse(tmp_path, content)
    assert (problems, index.class_names) == ([], ("0", "2.5", "7"))


def test_records_that_no_object_refers_to_only_warn(tmp_path: Path) -> None:
    content = small_set()
    content["categories"].append({"id": 99})
    content["images"].append({"id": 99, "file_name": "a.jpg", "width": "wide"})
    index, problems = parse(tmp_path, content)
    assert [(problem.severity, problem.kind) for problem in problems] == [("warning", "malformed record")] * 2
    assert len(index) == 3
    content["annotations"][0]["category_id"] = 99
    _, problems = parse(tmp_path, content)
    assert [problem.severity for problem in problems if problem.kind == "malformed record"] == ["warning", "error"]


def test_addresses_name_files_where_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "val2017").mkdir()
    for name in ("val2017/0 1.jpg", "2.jpg", "3.jpg"):
        (tmp_path / name).touch()
    content = small_set()
    for image, end in zip(content["images"], ("val2017/0%201.jpg", "train2017/2.jpg", "3.jpg?a=b"), strict=True):
        image["coco_url"] = f"http://images.cocodataset.org/{end}"
        del image["file_name"]
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    parsed = CocoFile(file, tmp_path).parse()
    assert list(parsed.require().files) == ["val2017/0 1.jpg", "2.jpg", "3.jpg"]


def test_null_stands_for_what_is_not_said(tmp_path: Path) -> None:
    content = small_set()
    content["images"][2].update(width=None, height=None)
    content["annotations"][1].update(iscrowd=None, area=None)
    index, problems = parse(tmp_path, content)
    assert problems == []
    assert index.sizes[2].tolist() == [0, 0]
    assert not index.ignore.any()
    content["annotations"][1].update(image_id=None)
    content["images"][2].update(width=60.5)
    _, problems = parse(tmp_path, content)
    assert [problem.value for problem in problems] == [
        "60.5 (Expected `int`, got `float` - at `$.width`)",
        "None (Expected `int | str`, got `null` - at `$.image_id`)",
    ]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_named(tmp_path: Path, number: str) -> None:
    file = write(tmp_path, small_set())
    file.write_text(file.read_text().replace("20.25", number))
    parsed = CocoFile(file, tmp_path).parse()
    problem = only(list(parsed.problems))
    assert (problem.kind, problem.record) == ("box is not finite", "annotations[2] (id 6)")
    assert problem.value.startswith("[10.01, 12.3, 30.5, ")
    with pytest.raises(DataError, match="1 error in the annotations"):
        parsed.require()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "file is not JSON"),
        ('{"images": [', "file is not JSON"),
        ("[]", "file holds a list instead of an object"),
        ('{"images": [], "categories": []}', "file has no 'annotations'"),
        ('{"images": {}, "categories": [], "annotations": []}', "file has 'images' that is not a list"),
    ],
)
def test_what_is_no_instances_file(tmp_path: Path, text: str, kind: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    parsed = CocoFile(file, tmp_path).parse()
    assert only(list(parsed.problems)).kind.startswith(kind)
    assert len(parsed.index) == 0


def test_absent_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=re.escape(f"{tmp_path / 'none.json'}: file cannot be read")):
        CocoFile(tmp_path / "none.json", tmp_path).parse().require()


def test_byte_order_mark_and_other_encodings(tmp_path: Path) -> None:
    file = write(tmp_path, small_set())
    text = json.dumps(small_set(), ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        file.write_text(text, encoding=encoding)
        parsed = CocoFile(file, tmp_path).parse()
        assert not parsed.problems
        assert parsed.index.files[1] == "sub/naïve 😀.jpg"
