from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pytest
from torchvision.datasets import VOCDetection, VOCSegmentation

from tests.data.index.voc_writer import SMALL, thing, write_devkit, xml
from visiontasks.data.index.packed import ImageIndex, PackedStrings
from visiontasks.data.index.problems import Parsed, Problem, count_kinds
from visiontasks.data.index.voc import VocDevkit, VocFolder


def only(parsed: Parsed) -> Problem:
    (problem,) = parsed.problems
    return problem


def boxes_of(index: ImageIndex, image: int) -> list[list[float]]:
    boxes = index.objects(image).boxes
    assert boxes is not None
    values: list[list[float]] = boxes.tolist()
    return values


def parse_one(folder: Path, text: str, class_names: tuple[str, ...] | None = None) -> Parsed:
    return VocDevkit(write_devkit(folder, {"a": text}, {"train": ["a"]}), "train", class_names=class_names).parse()


def test_boxes_flags_and_names(tmp_path: Path) -> None:
    parsed = VocDevkit(write_devkit(tmp_path), "train").parse()
    index = parsed.require()
    assert not parsed.problems
    assert index.class_names == ("bird", "cat", "dog", "person")  # of all splits
    assert list(index.files) == ["JPEGImages/a b.jpg", "JPEGImages/é😀.jpg", "JPEGImages/empty.jpg"]
    assert isinstance(index.image_ids, PackedStrings)
    assert [index.image_id(image) for image in range(len(index))] == ["a b", "é😀", "empty"]
    assert boxes_of(index, 0) == [[0, 0, 60, 40], [10, 5, 20, 30], [4, 4, 9, 9]]
    assert boxes_of(index, 1) == [[0, 2, 8, 9]]  # xmin=0 gives no negative coordinate
    assert boxes_of(index, 2) == []
    assert index.ignore.tolist() == [False, True, False, False]
    assert index.labels.tolist() == [2, 1, 2, 3]
    assert index.sizes.tolist() == [[40, 60]] * 3
    assert (index.masks, index.areas, index.segments) == (None, None, None)


def test_given_classes_set_the_labels(tmp_path: Path) -> None:
    folder = write_devkit(tmp_path)
    parsed = VocDevkit(folder, "train", class_names=("person", "dog", "cat")).parse()
    assert not parsed.problems  # the bird is in no image of this split
    assert parsed.index.labels.tolist() == [1, 2, 1, 0]
    parsed = VocDevkit(folder, "train", class_names=("person", "cat", "dogs")).parse()
    assert [(entry.kind, entry.record, entry.value, entry.remedy) for entry in parsed.problems] == [
        ("unknown class", f"object {number} (dog)", "'dog'", "Did you mean 'dogs'?") for number in (1, 3)
    ]


@pytest.mark.parametrize(
    ("name", "year", "splits"),
    [
        ("coco_as_voc", "2012", {"train": (30, 269), "val": (20, 224)}),
        ("voc_sample", "2012", {"train": (2, 6), "val": (1, 3)}),
        ("BCCD", "2007", {"train": (205, 2805), "val": (87, 1138), "test": (72, 945)}),
        ("cards", "2007", {"train": (147, 147), "val": (33, 33), "test": (30, 30)}),
    ],
)
def test_real_sets_equal_torchvision(
    data_root: Path, name: str, year: str, splits: Mapping[str, tuple[int, int]]
) -> None:
    folder = data_root / name / "VOCdevkit" / f"VOC{year}"
    if not folder.exists():
        pytest.skip(f"needs {name}")
    for split, (images, objects) in splits.items():
        parsed = VocDevkit(folder, split).parse()
        index = parsed.require()
        assert (len(index), len(index.labels) + len(parsed.problems)) == (images, objects)
        compare_with_torchvision(index, VOCDetection(str(data_root / name), year=year, image_set=split))


def compare_with_torchvision(index: ImageIndex, reference: VOCDetection) -> None:
    assert len(index) == len(reference)
    for image in range(len(index)):
        assert index.file(image) == Path(reference.images[image])
        annotation: dict[str, Any] = reference.parse_voc_xml(_root(reference.annotations[image]))["annotation"]
        size = annotation["size"]
        assert index.sizes[image].tolist() == [int(size["height"]), int(size["width"])]
        expected = []
        for entry in annotation["object"]:
            x0, y0, x1, y1 = (float(entry["bndbox"][side]) for side in ("xmin", "ymin", "xmax", "ymax"))
            if x1 > x0 and y1 > y0:
                expected.append(([x0 - 1, y0 - 1, x1, y1], entry["name"], entry["difficult"] == "1"))
        _, labels, ignore = index.objects(image)
        names = [index.class_names[label] for label in labels]
        assert list(zip(boxes_of(index, image), names, ignore.tolist(), strict=True)) == expected


def _root(file: str) -> Any:  # noqa: ANN401 (an element of defusedxml's parser)
    from defusedxml.ElementTree import parse

    return parse(file).getroot()


def test_the_two_boxes_of_bccd_without_area_are_named(data_root: Path) -> None:
    folder = data_root / "BCCD" / "VOCdevkit" / "VOC2007"
    if not folder.exists():
        pytest.skip("needs BCCD")
    found = {split: VocDevkit(folder, split).parse() for split in ("train", "val", "test")}
    assert [len(parsed.index.labels) for parsed in found.values()] == [2804, 1137, 945]
    problems = [problem for parsed in found.values() for problem in parsed.problems]
    assert [(Path(problem.file).name, problem.kind, problem.value) for problem in problems] == [
        ("BloodImage_00343.xml", "box of zero area", "[181, 329, 181, 329] in an image of 480 x 640 (height x width)"),
        ("BloodImage_00338.xml", "box of zero area", "[504, 337, 504, 337] in an image of 480 x 640 (height x width)"),
    ]


@pytest.mark.parametrize("name", ["coco_as_voc", "voc_sample"])
def test_real_masks_are_those_of_torchvision(data_root: Path, name: str) -> None:
    folder = data_root / name / "VOCdevkit" / "VOC2012"
    if not folder.exists():
        pytest.skip(f"needs {name}")
    for split in ("train", "val"):
        index = VocDevkit(folder, split, "Segmentation").parse().require()
        reference = VOCSegmentation(str(data_root / name), year="2012", image_set=split)
        assert index.masks is not None
        assert [str(folder / mask) for mask in index.masks] == reference.masks
        assert [str(index.file(image)) for image in range(len(index))] == reference.images


def test_segmentation_needs_masks_and_no_xml(tmp_path: Path) -> None:
    folder = write_devkit(tmp_path)
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("empty\na b\nbare\n")
    (folder / "JPEGImages" / "bare.jpg").touch()
    for stem in ("empty", "bare"):
        (folder / "SegmentationClass" / f"{stem}.png").touch()
    parsed = VocDevkit(folder, "train", "Segmentation").parse()
    problem = only(parsed)
    assert (problem.severity, problem.kind, problem.record) == (
        "error",
        "mask file is missing",
        "SegmentationClass/a b.png",
    )
    (folder / "SegmentationClass" / "a b.png").touch()
    index = VocDevkit(folder, "train", "Segmentation").parse().require()
    assert index.masks is not None
    assert list(index.masks) == [f"SegmentationClass/{stem}.png" for stem in ("empty", "a b", "bare")]
    assert np.diff(index.offsets).tolist() == [0, 3, 0]


def test_the_image_may_have_any_suffix(tmp_path: Path) -> None:
    folder = write_devkit(tmp_path)
    (folder / "JPEGImages" / "empty.jpg").rename(folder / "JPEGImages" / "empty.PNG")
    assert VocDevkit(folder, "train").parse().require().files[2] == "JPEGImages/empty.PNG"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_devkit(tmp_path, lists={"train": ["a b", "absent", "é😀", "a b", "../x", ""]})
    (folder / "JPEGImages" / "é😀.jpg").unlink()
    parsed = VocDevkit(folder, "train").parse()
    assert [(entry.severity, entry.kind, entry.record) for entry in parsed.problems] == [
        ("error", "image is listed twice", "line 4"),
        ("error", "file name leaves the folder of the images", "line 5"),
        ("error", "annotation file is missing", "absent"),
        ("error", "image file is missing", "JPEGImages/absent.jpg"),
        ("error", "image file is missing", "JPEGImages/é😀.jpg"),
    ]
    problem = only(VocDevkit(folder, "test").parse())
    assert (problem.kind, problem.remedy) == ("list cannot be read", "Lists there: train.")


def test_boxes_that_cannot_be(tmp_path: Path) -> None:
    objects = [
        thing("dog", (1, 2, "three", 4)),
        "<object><name>dog</name></object>",
        "<object><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></object>",
        thing("dog", ("nan", 2, 3, 4)),
        thing("dog", (70, 2, 80, 4)),
        thing("dog", (9, 2, 9, 4)),
        thing("dog", (50.5, 2, 80, 4)),
    ]
    parsed = parse_one(tmp_path, xml(objects))
    assert [(entry.kind, entry.record) for entry in parsed.problems] == [
        ("malformed box", "object 1 (dog)"),
        ("object without bndbox", "object 2 (dog)"),
        ("object without name", "object 3 ()"),
        ("box is not finite", "object 4 (dog)"),
        ("box of zero area", "object 6 (dog)"),
        ("box outside the image", "object 5 (dog)"),
        ("box reaches out of the image", "object 7 (dog)"),
    ]
    assert parsed.problems[1].value == "it holds name"
    assert boxes_of(parsed.index, 0) == [[49.5, 1, 60, 4]]


def test_fractions_are_no_pixels(tmp_path: Path) -> None:
    assert (
        only(parse_one(tmp_path, xml([thing("dog", (0.1, 0.2, 0.5, 0.6))]))).kind
        == "boxes from 0 to 1 are declared as pixels"
    )


def test_a_size_that_is_not_said(tmp_path: Path) -> None:
    parsed = parse_one(tmp_path, xml([thing("dog", (1, 2, 500, 400))], None))
    assert not parsed.problems
    assert parsed.index.sizes.tolist() == [[0, 0]]
    assert boxes_of(parsed.index, 0) == [[0, 1, 500, 400]]


def test_a_folder_as_labelimg_writes_it(tmp_path: Path) -> None:
    for stem, text in SMALL.items():
        (tmp_path / f"{stem}.xml").write_text(text)
        (tmp_path / f"{stem}.png").touch()
    (tmp_path / "unseen.png").touch()
    parsed = VocFolder(tmp_path).parse()
    assert count_kinds(parsed.problems) == {"image without annotation file": 1}
    index = parsed.require()
    assert list(index.files) == ["a b.png", "empty.png", "other.png", "é😀.png"]
    assert index.class_names == ("bird", "cat", "dog", "person")
    assert index.counts().tolist() == [1, 1, 2, 1]
    assert len(VocFolder(tmp_path).sources()) == 4


def test_of_two_images_of_one_stem_the_file_says_which(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(xml([thing("dog", (1, 2, 5, 4))], file_name="a.png"))
    for suffix in ("bmp", "jpg", "png"):
        (tmp_path / f"a.{suffix}").touch()
    assert list(VocFolder(tmp_path).parse().require().files) == ["a.png"]


def test_an_annotation_may_keep_the_suffix_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "1.jpg.xml").write_text(xml([thing("dog", (1, 2, 5, 4))]))
    (tmp_path / "1.jpg").touch()
    parsed = VocFolder(tmp_path).parse()
    assert (list(parsed.index.files), parsed.problems) == (["1.jpg"], [])


def test_a_list_may_name_folders_inside(tmp_path: Path) -> None:
    folder = write_devkit(tmp_path, {"0": xml([], file_name="b/0.png"), "1": xml([])}, {"train": ["b/0", "1"]})
    for name, suffix in (("JPEGImages", "jpg"), ("Annotations", "xml")):
        (folder / name / "b").mkdir()
        (folder / name / f"0.{suffix}").rename(folder / name / "b" / f"0.{suffix}")
    (folder / "JPEGImages" / "b" / "0.png").touch()
    parsed = VocDevkit(folder, "train").parse()
    assert (list(parsed.index.files), parsed.problems) == (["JPEGImages/b/0.png", "JPEGImages/1.jpg"], [])


def test_a_folder_without_annotations(tmp_path: Path) -> None:
    assert only(VocFolder(tmp_path).parse()).kind == "folder holds no XML file"


@pytest.mark.parametrize(
    "lines",
    [["a b 1", "é😀 -1", "empty  0"], ["a b.jpg", "é😀.jpg", "empty.jpg"], ["a b", "é😀 1", "empty.jpg"]],
    ids=["flags", "suffixes", "mixed"],
)
def test_lists_of_a_class_and_of_files_are_read(tmp_path: Path, lines: list[str]) -> None:
    folder = write_devkit(tmp_path / "VOC", lists={"dog_train": lines})
    assert list(VocDevkit(folder, "dog_train").parse().require().files) == [
        "JPEGImages/a b.jpg",
        "JPEGImages/é😀.jpg",
        "JPEGImages/empty.jpg",
    ]


def test_a_name_that_ends_like_a_flag_is_a_name(tmp_path: Path) -> None:
    folder = write_devkit(tmp_path / "VOC", {"a 1": SMALL["empty"], "a": SMALL["empty"]}, {"train": ["a 1", "a"]})
    assert list(VocDevkit(folder, "train").parse().require().files) == ["JPEGImages/a 1.jpg", "JPEGImages/a.jpg"]


def test_litter_and_suffixes_of_xml_files(tmp_path: Path) -> None:
    for stem, suffix in (("a", ".XML"), ("._a", ".xml"), ("b", ".xml")):
        (tmp_path / f"{stem}{suffix}").write_text(SMALL["other"] if stem[0] != "." else "Mac OS X")
        (tmp_path / f"{stem}.jpg").touch()
    assert list(VocFolder(tmp_path).parse().require().files) == ["a.jpg", "b.jpg"]


def test_accents_of_xml_files_may_be_other_code_points(tmp_path: Path) -> None:
    (tmp_path / normalize("NFD", "é.xml")).write_text(SMALL["other"])
    (tmp_path / normalize("NFC", "é.jpg")).touch()
    parsed = VocFolder(tmp_path).parse()
    assert (list(parsed.require().files), parsed.problems) == ([normalize("NFC", "é.jpg")], [])


def test_xml_of_another_tool_beside_images_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "annotations.xml").write_text("<annotations><image id='0' name='0.png'><box/></image></annotations>")
    (tmp_path / "a.xml").write_text(SMALL["other"])
    (tmp_path / "a.jpg").touch()
    parsed = VocFolder(tmp_path).parse()
    assert (only(parsed).severity, only(parsed).kind) == (
        "error",
        "file holds CVAT's XML for images, a form that is not read",
    )
    assert list(parsed.index.files) == ["a.jpg"]
