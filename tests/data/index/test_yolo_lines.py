from pathlib import Path

import pytest

from visiontasks.data.index.yolo_lines import KeyPoints, Line, read_label_file, read_labelled_image

NAMES = ("cat", "hot", "1.5")
POSE = KeyPoints(2, 3)


def read(tmp_path: Path, text: str, key_points: KeyPoints | None = None) -> list[Line]:
    file = tmp_path / "a.txt"
    file.write_text(text)
    found = read_label_file(file, NAMES, key_points)
    assert not found.problems
    assert not found.outside
    return found.lines


def kind(tmp_path: Path, text: str, key_points: KeyPoints | None = None) -> tuple[str, str]:
    file = tmp_path / "a.txt"
    file.write_text(f"0 .5 .5 .1 .1\n\n{text}\n")
    found = read_label_file(file, NAMES, key_points)
    (problem,) = found.problems
    assert (len(found.lines), problem.file, problem.record, problem.severity) == (1, str(file), "line 3", "error")
    return problem.kind, problem.remedy


def test_lines_are_boxes_and_polygons(tmp_path: Path) -> None:
    assert read(tmp_path, "") == read(tmp_path, " \n\n") == []
    text = "\ufeff2 0.5 0.25 1e-3 1.0\r\n\n  0.0\t0 0 1 0 1 1  \n1 -.009 0 1.009 1"
    assert read(tmp_path, text) == [
        Line(1, 2, [0.5, 0.25, 0.001, 1.0]),
        Line(3, 0, [0, 0, 1, 0, 1, 1]),
        Line(4, 1, [-0.009, 0, 1.009, 1]),
    ]


def test_what_lies_outside_is_told_from_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 .5 .5 .1 .1\n0 .5 .5 .1 1.02\n0 0 0 .1 .1 -.02 1")
    found = read_label_file(tmp_path / "a.txt", NAMES)
    assert [line.number for line in found.lines] == [1]
    assert [line.number for line in found.outside] == [2, 3]


@pytest.mark.parametrize(
    ("text", "expected", "remedy"),
    [
        ("hot .5 .5 .1 .1", "line that is not numbers", "'hot' is class 1."),
        ("dog .5 .5 .1 .1", "line that is not numbers", "A line is 'class cx cy w h'"),
        ("0 .5 .5 .1 inf", "line that is not numbers", "separated by spaces"),
        ("3 .5 .5 .1 .1", "unknown class number", "There are 3 classes, numbered from 0 to 2."),
        ("-1 .5 .5 .1 .1", "unknown class number", "from 0 to 2"),
        ("1.5 .5 .5 .1 .1", "unknown class number", "from 0 to 2"),
        ("0", "line of a wrong number of columns", "A line is"),
        ("0 .5 .5 .1 .1 .9", "line of 6 columns", "If the last number is a confidence, delete it"),
        ("0 .5 .5 .1 .1 .5 .5 .9", "line of a wrong number of columns", "give their kpt_shape in data.yaml"),
    ],
)
def test_a_wrong_line_is_named_with_what_to_do(text: str, expected: str, remedy: str, tmp_path: Path) -> None:
    found, told = kind(tmp_path, text)
    assert found == expected
    assert remedy in told


def test_key_points_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "0 .5 .5 .1 .1 .5 .5 2 .4 .4 0\n1 .5 .5 .2 .2"
    assert read(tmp_path, text, POSE) == [Line(1, 0, [0.5, 0.5, 0.1, 0.1]), Line(2, 1, [0.5, 0.5, 0.2, 0.2])]
    assert read_label_file(tmp_path / "a.txt", NAMES, POSE).key_points == 1
    found, told = kind(tmp_path, "0 .5 .5 .1 .1 .5 .5", POSE)
    assert found == "line of 7 columns among key points"
    assert told == "By kpt_shape it is a class, a box and 2 points: 11 columns."


def test_files_that_are_no_text_or_no_image_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe0")
    (problem,) = read_label_file(tmp_path / "a.txt", NAMES).problems
    assert problem.kind == "label file cannot be read"
    (tmp_path / "a.jpg").write_bytes(b"no image")
    for severity in ("error", "warning"):
        found = read_labelled_image((tmp_path / "a.jpg", None), NAMES, None, severity)
        assert (found.size, [problem.severity for problem in found.problems]) == ((0, 0), [severity])
    assert read_labelled_image((tmp_path / "gone.jpg", None), NAMES, None, "error").problems == []
