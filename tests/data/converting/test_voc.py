import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.data.converting.sources import change, write
from tests.data.index.coco_writer import small_set
from visiontasks import VOCDataModule
from visiontasks.errors import DataError


def test_voc_holds_boxes_and_marks_the_ignored(source: Path) -> None:
    folder, done = write(source, "voc")
    assert done.omitted == {
        "areas that are not those of the boxes": 12,
        "polygons of objects": 8,
        "run lengths of objects": 4,
    }
    root = ElementTree.parse(folder / "Annotations" / "a b.xml").getroot()
    assert [root.findtext(f"size/{name}") for name in ("width", "height", "depth")] == ["60", "40", "3"]
    found = {
        (thing.findtext("name"), thing.findtext("difficult"), *(side.text for side in thing.find("bndbox") or ()))
        for thing in root.iterfind("object")
    }
    assert ("person", "1", "1", "1", "60", "40") in found
    assert ("car", "0", "11.01", "13.3", repr(10.01 + 30.5), repr(12.3 + 20.25)) in found
    assert (folder / "ImageSets" / "Main" / "train.txt").read_text() == "a b\nnaïve 😀\nempty\n"


def test_boxes_of_a_pixel_are_no_boxes_in_voc(source: Path) -> None:
    change(source, lambda content: content["annotations"][0].update(bbox=[3, 3, 1, 20]))
    folder, done = write(source, "voc")
    assert done.omitted["boxes of at most a pixel"] == 2
    found = VOCDataModule(folder, class_names=["person", "car", "toothbrush"]).splits["train"]
    assert not found.problems
    assert len(found.index.labels) == 5


def test_names_that_xml_cannot_contain_are_refused(source: Path) -> None:
    change(source, lambda content: content["categories"][1].update(name="a\x07"))
    with pytest.raises(DataError, match="holds characters that XML cannot contain"):
        write(source, "voc")


@pytest.mark.parametrize("form", ["yolo", "voc"])
def test_an_image_of_two_splits_has_the_same_objects_in_both(source: Path, form: str) -> None:
    content = small_set()
    del content["annotations"][0]
    (source / "val.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"'naïve 😀\.jpg' is in two splits with other objects"):
        write(source, form)
