import csv
from pathlib import Path

import numpy as np
import pytest

from visiontasks.data.index.csv_table import CsvTable
from visiontasks.data.index.problems import Parsed, Problem

TABLE = """split,filename,width,height,class,xmin,ymin,xmax,ymax
train,a b.jpg,60,40,dog,1,2,30,40
train,"b,😀.jpg",50,30,cat,0,0,10,10
val,c.jpg,60,40,bird,5,5,9,9
train,a b.jpg,60,40,cat,20,10,25,15
train,d.jpg,,,,,,,
"""


def parse(folder: Path, text: str, **options: object) -> Parsed:
    for name in ("a b.jpg", "b,😀.jpg", "c.jpg", "d.jpg"):
        (folder / name).touch()
    (folder / "table.csv").write_text(text)
    return CsvTable(folder / "table.csv", folder, **options).parse()  # type: ignore[arg-type]


def only(parsed: Parsed) -> Problem:
    (problem,) = parsed.problems
    return problem


def test_rows_of_one_file_are_objects_of_one_image(tmp_path: Path) -> None:
    index = parse(tmp_path, TABLE).require()
    assert list(index.files) == ["a b.jpg", "b,😀.jpg", "c.jpg", "d.jpg"]
    assert index.class_names == ("bird", "cat", "dog")
    assert index.offsets.tolist() == [0, 2, 3, 4, 4]
    assert index.labels.tolist() == [2, 1, 1, 0]
    assert index.sizes.tolist() == [[40, 60], [30, 50], [40, 60], [0, 0]]
    assert index.boxes is not None
    assert index.boxes[:2].tolist() == [[1, 2, 30, 40], [20, 10, 25, 15]]


def test_a_split_keeps_the_classes_of_all(tmp_path: Path) -> None:
    index = parse(tmp_path, TABLE, split="val").require()
    assert (list(index.files), index.labels.tolist(), index.class_names) == (["c.jpg"], [0], ("bird", "cat", "dog"))
    problem = only(parse(tmp_path, TABLE, split="vall"))
    assert (problem.kind, problem.remedy) == ("no row is of this split", "Did you mean 'val'?")


def test_rows_of_a_split_called_otherwise_and_of_none(tmp_path: Path) -> None:
    text = "file,class,split\na b.jpg,dog,Train\nc.jpg,cat,dev\nd.jpg,cat,\nc.jpg,dog,Valid\na b.jpg,dog,holdout\n"
    parsed = parse(tmp_path, text, split="val")
    assert (list(parsed.require().files), parsed.index.labels.tolist()) == (["c.jpg"], [0, 1])
    assert list(parse(tmp_path, text, split="train").index.files) == ["a b.jpg"]
    assert [(entry.severity, entry.kind, entry.record, entry.value) for entry in parsed.problems] == [
        ("warning", "rows of no split", "line 4", "1 of split ''"),
        ("warning", "rows of no split", "line 6", "1 of split 'holdout'"),
    ]


@pytest.mark.parametrize(
    ("header", "kind", "value"),
    [
        ("filename,path,class", "several columns say the file", "filename, path"),
        ("file,label,Class", "several columns say the class", "label, class"),
        ("file,class,xmin,ymin,xmax,ymax,xmin", "several columns say the xmin", "xmin, xmin"),
    ],
)
def test_two_columns_of_one_meaning_are_an_error(tmp_path: Path, header: str, kind: str, value: str) -> None:
    problem = only(parse(tmp_path, f"{header}\n"))
    assert (problem.severity, problem.kind, problem.value) == ("error", kind, value)


@pytest.mark.parametrize(("box_format", "box"), [("voc", [0, 1, 30, 40]), ("xywh", [1, 2, 31, 40])])
def test_the_notation_of_the_boxes_is_said(tmp_path: Path, box_format: str, box: list[float]) -> None:
    boxes = parse(tmp_path, TABLE, box_format=box_format).index.boxes
    assert boxes is not None
    assert boxes[0].tolist() == box


def test_classes_alone_for_one_or_several_per_image(tmp_path: Path) -> None:
    index = parse(tmp_path, "path,label\na b.jpg,dog\nd.jpg,cat\na b.jpg,cat\n").require()
    assert index.boxes is None
    assert index.labels.tolist() == [1, 0, 0]
    assert index.offsets.tolist() == [0, 2, 3]


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8", ","), ("utf-8-sig", ";"), ("utf-8", "\t")])
def test_tables_of_spreadsheets(tmp_path: Path, encoding: str, delimiter: str) -> None:
    (tmp_path / "é 1.jpg").touch()
    (tmp_path / "a.csv").write_text(
        f"File{delimiter} Class \r\né 1.jpg{delimiter}dog\r\n", encoding=encoding, newline=""
    )
    assert list(CsvTable(tmp_path / "a.csv", tmp_path).parse().require().files) == ["é 1.jpg"]


@pytest.mark.parametrize(
    ("row", "kind", "value"),
    [
        ("train,c.jpg,60,40,dog,1,2,x,4", "malformed box", "xmin='1', ymin='2', xmax='x', ymax='4'"),
        ("train,c.jpg,60,40,dog,1,2,,", "malformed box", "xmin='1', ymin='2', xmax='', ymax=''"),
        ("train,c.jpg,60,40,dog,1,2,nan,4", "box is not finite", "[1, 2, nan, 4]"),
        ("train,c.jpg,60,40,,1,2,3,4", "box without class", "'c.jpg'"),
        ("train,c.jpg,-60,40,dog,1,2,3,4", "size is not a number of pixels", "width='-60', height='40'"),
        ("train,c.jpg,60.5,40,dog,1,2,3,4", "size is not a number of pixels", "width='60.5', height='40'"),
        ("train,c.jpg,nan,40,dog,1,2,3,4", "size is not a number of pixels", "width='nan', height='40'"),
        ("train,c.jpg,60,1e99,dog,1,2,3,4", "size is not a number of pixels", "width='60', height='1e99'"),
        (
            "train,a b.jpg,61,40,dog,1,2,3,4",
            "sizes of one image differ",
            "'a b.jpg': 40 x 61 (height x width), 40 x 60 before",
        ),
        ("train,../c.jpg,60,40,dog,1,2,3,4", "file name leaves the folder of the images", "'../c.jpg'"),
        ("train,c.jpg,60", "row of another length", "['train', 'c.jpg', '60']"),
    ],
)
def test_rows_that_are_wrong_are_named_by_line(tmp_path: Path, row: str, kind: str, value: str) -> None:
    problem = only(parse(tmp_path, TABLE + row + "\n"))
    assert (problem.severity, problem.kind, problem.value) == ("error", kind, value)
    assert (problem.file, problem.record) == (str(tmp_path / "table.csv"), "line 7")


def test_sizes_with_a_point_are_whole_numbers(tmp_path: Path) -> None:
    index = parse(tmp_path, TABLE.replace("60,40", "60.0,40.0")).require()
    assert index.sizes.tolist() == [[40, 60], [30, 50], [40, 60], [0, 0]]


def test_unknown_classes_and_empty_boxes(tmp_path: Path) -> None:
    parsed = parse(tmp_path, TABLE + "train,c.jpg,60,40,dog,5,5,5,9\n", class_names=("dog", "cat"))
    assert [(entry.severity, entry.kind, entry.record) for entry in parsed.problems] == [
        ("error", "unknown class", "line 4"),
        ("warning", "box of zero area", "line 7"),
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("file\na.jpg\n", "table lacks class"),
        ("", "table lacks file, class"),
        ("file,class,xmin,ymin\na.jpg,dog,1,2\n", "table lacks xmax, ymax"),
    ],
)
def test_columns_that_are_needed(tmp_path: Path, text: str, kind: str) -> None:
    assert only(parse(tmp_path, text)).kind == kind
    assert "split" in only(parse(tmp_path, "file,class\na b.jpg,x\n", split="train")).kind
    problem = only(parse(tmp_path, "image_path,kind\na b.jpg,x\n"))
    assert (
        problem.remedy
        == "The first row names the columns; needed are file or filename or image or path, class or label. "
        "If they have other names, say columns={'file': 'id', 'class': 'breed'}, for example."
    )
    index = parse(tmp_path, "file\na b.jpg\n", needs_class=False).require()
    assert (list(index.files), index.class_names, index.offsets.tolist()) == (["a b.jpg"], (), [0, 0])
    others = "file,class,x1,y1,x2,y2\na b.jpg,x,1,2,3,4\n"
    assert only(parse(tmp_path, others, needs_boxes=True)).kind == "table lacks xmin, ymin, xmax, ymax"
    assert not parse(tmp_path, others).problems


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert only(CsvTable(tmp_path / "none.csv", tmp_path).parse()).kind == "table cannot be read"
    (tmp_path / "latin.csv").write_bytes("file,class\né.jpg,x\n".encode("latin-1"))
    assert "Save it as CSV in UTF-8" in only(CsvTable(tmp_path / "latin.csv", tmp_path).parse()).remedy


def test_cards(data_root: Path) -> None:
    folder = data_root / "cards"
    if not folder.exists():
        pytest.skip("needs cards")
    images = folder / "VOCdevkit" / "VOC2007" / "JPEGImages"
    for split, count in (("train", 147), ("val", 33), ("test", 30)):
        parsed = CsvTable(folder / "localization.csv", images, split, "voc").parse()
        index = parsed.require()
        assert not parsed.problems
        assert len(index) == len(index.labels) == count
        assert index.class_names == tuple(sorted((folder / "classes.txt").read_text().split()))
        assert np.diff(index.offsets).tolist() == [1] * count


def classes(parsed: Parsed) -> list[list[str]]:
    index = parsed.require()
    return [[index.class_names[label] for label in index.objects(image).labels] for image in range(len(index))]


@pytest.mark.parametrize("text", ["dog|cat", "['dog', 'cat']", "dog;cat", "(dog, cat)", "dog,cat"])
def test_several_classes_in_a_cell_are_divided_by_what_is_said_or_refused(tmp_path: Path, text: str) -> None:
    table = f"file\tclass\na b.jpg\t{text}\nc.jpg\tcat\nd.jpg\tdog\n"
    problem = only(parse(tmp_path, table))
    assert (problem.severity, problem.kind, problem.record) == ("error", "several classes in one cell", "line 2")
    separator = next(mark for mark in "|;," if mark in text)
    assert f"separator={separator!r}" in problem.remedy
    assert classes(parse(tmp_path, table, separator=separator)) == [["dog", "cat"], ["cat"], ["dog"]]
    assert parse(tmp_path, table, separator="").require().class_names == tuple(sorted([text, "cat", "dog"]))


def test_names_of_classes_may_hold_separators(tmp_path: Path) -> None:
    names = ["T-shirt/top", "tench, Tinca tinca", "goldfish, Carassius auratus", "hot dog"]
    table = "file\tclass\n" + "".join(f"d.jpg\t{name}\n" for name in names)
    assert parse(tmp_path, table).require().class_names == tuple(sorted(names))


def test_cells_of_json_are_named(tmp_path: Path) -> None:
    cell = '"[{""x"": 1, ""rectanglelabels"": [""dog""]}]"'
    assert only(parse(tmp_path, f"image,label\nc.jpg,{cell}\n")).kind == "cell of a class holds JSON"


def test_columns_of_0_and_1_are_classes(tmp_path: Path) -> None:
    table = "filename, Cat, dog, unseen, remark\na b.jpg, 0, 1, 0, x\nc.jpg, 1, 1.0, 0, \nd.jpg, 0, 0, 0, 7\n"
    parsed = parse(tmp_path, table)
    assert parsed.index.class_names == ("Cat", "dog", "unseen")
    assert classes(parsed) == [["dog"], ["Cat", "dog"], []]
    assert (only(parsed).severity, only(parsed).value) == ("warning", "remark")
    assert parse(tmp_path, table, class_names=("dog", "Cat", "unseen")).index.labels.tolist() == [0, 1, 0]
    assert only(parse(tmp_path, table.replace(" 1.0,", " 2,").replace("0, 1,", "3, 1,"))).kind == "table lacks class"


def test_columns_may_be_named(tmp_path: Path) -> None:
    table = "Id Code,diagnosis,class,image\nc.jpg,cat,x,y\n"
    columns = (("file", "id code"), ("class", "diagnosis"))
    assert classes(parse(tmp_path, table, columns=columns)) == [["cat"]]
    problem = only(parse(tmp_path, table, columns=(("class", "breed"),)))
    assert problem.kind == "table lacks class, a column named 'breed'"
    table = "image,class,x,y,width,height\nc.jpg,cat,1,2,3,4\n"
    corners = (("xmin", "x"), ("ymin", "y"), ("xmax", "width"), ("ymax", "height"))
    index = parse(tmp_path, table, columns=corners, box_format="xywh").require()
    assert index.boxes is not None
    assert (index.boxes.tolist(), index.sizes.tolist()) == ([[1, 2, 4, 6]], [[0, 0]])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_cells_of_any_length_and_lines_in_names_of_columns(tmp_path: Path, encoding: str) -> None:
    for name in ("c.jpg", "d.jpg"):
        (tmp_path / name).touch()
    text = f'file,class,"remark\nof, us"\n"c.jpg","cat","{"x" * 200_000}"\nd.jpg,dög, "a, b"\n'
    (tmp_path / "table.csv").write_text(text, encoding=encoding)
    limit = csv.field_size_limit()
    assert classes(CsvTable(tmp_path / "table.csv", tmp_path).parse()) == [["cat"], ["dög"]]
    assert csv.field_size_limit() == limit
