import json
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from tests.data.index.coco_writer import only, parse, small_set, write
from visiontasks.data.index.coco import CocoFile
from visiontasks.errors import DataError


@pytest.mark.parametrize(
    ("bbox", "found"),
    [
        (["1", "2", "3", "x"], "Expected `float`, got `str` - at `$.bbox[3]`"),
        ([1, 2, 3], "Expected `array` of length 4, got 3"),
        (None, "Expected `array`, got `null`"),
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


@pytest.mark.parametrize("write_number", [float, str])
def test_integers_that_are_written_otherwise(tmp_path: Path, write_number: Callable[[int], object]) -> None:
    content = small_set()
    content["annotations"] = [entry for entry in content["annotations"] if entry["id"] < 2**53]
    content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] < 2**53]
    content["images"] = [entry for entry in content["images"] if entry["id"] < 2**53]
    expected, _ = parse(tmp_path, content)
    for entry in chain(*content.values()):
        integers = [name for name, value in entry.items() if isinstance(value, int)]
        entry.update({name: write_number(entry[name]) for name in integers})
    index, problems = parse(tmp_path, content)
    assert problems == []
    for name in ("image_ids", "category_ids", "sizes", "labels", "ignore", "object_ids", "boxes"):
        assert getattr(index, name).tolist() == getattr(expected, name).tolist()


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
        "None (Expected `int`, got `null` - at `$.image_id`)",
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
        ("", "file is no JSON"),
        ('{"images": [', "file is no JSON"),
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
