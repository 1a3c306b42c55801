"""Bad labels in YOLO's form."""

from pathlib import Path

import numpy as np

from tests.data.damages import Case, Damage, cut, write

LABELS = "train/labels/0.txt"


def line(text: str) -> Damage:
    """Add a line to the labels of the first training image, whose first object fills one line."""

    def damage(root: Path) -> None:
        file = root / LABELS
        file.write_text(f"{file.read_text()}{text}\n")

    return damage


def every(change: str) -> Damage:
    """Change the numbers after the class of every training line, by an expression of numpy over ``v``."""

    def damage(root: Path) -> None:
        for file in (root / "train" / "labels").iterdir():
            rows = np.loadtxt(file, ndmin=2)
            lines = [[int(row[0]), *eval(change, {"v": row[1:], "np": np})] for row in rows]
            file.write_text("\n".join(" ".join(map(str, row)) for row in lines))

    return damage


def image_of_no_size(root: Path) -> None:
    (root / "train" / "images" / "0.png").write_bytes(b"no image")


def names(text: str) -> Damage:
    """Describe the classes in another way."""
    return write("data.yaml", f"train: ../train/images\nval: ../valid/images\n{text}\n")


YOLO = {
    "nothing": Case("yolo", lambda root: None, 0, holds=lambda batch: (batch.labels >= 0).any()),
    "byte-order mark, line ends of Windows, float classes": Case("yolo", write(LABELS, "\ufeff2.0 .5 .5 .5 .5\r\n"), 0),
    "overshoot of rounding": Case("yolo", line("0 0.5 0.5 1.0000001 1.0000001"), 0),
    "empty label file": Case("yolo", write(LABELS, ""), 0),
    "no label file": Case(
        "yolo",
        lambda root: (root / LABELS).unlink(),
        1,
        "images without label file (1)\n  yolo | 1 of 8; that of 'yolo/train/images/0.png' would be 'yolo/train/labels",
        counted="1 x images without label file",
    ),
    "label file of no image": Case(
        "yolo", write("train/labels/more.txt", ""), 1, "more.txt", counted="1 x label file without image"
    ),
    "class number too high": Case("yolo", line("4 .5 .5 .1 .1"), 2, "numbered from 0 to 3", "unknown class number"),
    "class number negative": Case("yolo", line("-1 .5 .5 .1 .1"), 2, "unknown class number", "numbered from 0 to 3"),
    "class number of a fraction": Case("yolo", line("0.5 .5 .5 .1 .1"), 2, "unknown class number", "from 0 to 3"),
    "class name": Case("yolo", line("square .5 .5 .1 .1"), 2, "'square' is class 1.", "line that is not numbers"),
    "commas": Case("yolo", line("0,.5,.5,.1,.1"), 2, "separated by spaces", "line that is not numbers"),
    "nan": Case("yolo", line("0 nan .5 .1 .1"), 2, "line that is not numbers", "0 nan .5 .1 .1"),
    "four columns": Case("yolo", line("0 .5 .5 .1"), 2, "line of a wrong number of columns", "class cx cy w h"),
    "confidence": Case("yolo", line("0 .5 .5 .1 .1 .9"), 2, "line of 6 columns (1)", "is a confidence, delete it"),
    "key points": Case(
        "yolo", line("0 .5 .5 .1 .1 .5 .5 2"), 2, "give their kpt_shape", "line of a wrong number of columns"
    ),
    "key points of two numbers": Case(
        "yolo",
        every("[*v, v[0], v[1], v[0] + v[2] / 3, v[1], v[0], v[1] - v[3] / 4]"),
        2,
        "lines look like boxes with key points",
        "Give kpt_shape",
    ),
    "oriented boxes": Case(
        "yolo",
        every("[.5, .3, .7, .5, .5, .7, .3, .5]"),
        1,
        "lines look like oriented boxes",
        counted="1 x lines look like oriented boxes",
    ),
    "coordinate too large": Case("yolo", line("0 .5 .5 .1 1.2"), 2, "coordinate outside 0 to 1 (1)", "'0 0.5 0.5 0.1"),
    "coordinate negative": Case("yolo", line("0 -.2 .5 .1 .1"), 2, "coordinate outside 0 to 1 (1)", "outside 0 to 1"),
    "pixels": Case("yolo", every("v * 50"), 2, "coordinates are pixels instead of fractions", "Divide x and"),
    "box of no area": Case("yolo", line("0 .5 .5 0 .1"), 1, "box of zero area (1)", counted="1 x box of zero area"),
    "box out of the image": Case(
        "yolo", line("0 .9 .5 .4 .1"), 1, "box reaches out of the image (1)", counted="1 x box reaches out of the image"
    ),
    "not text": Case("yolo", write(LABELS, b"\xff\xfe\x00"), 2, "label file cannot be read", "Save it as text"),
    "image that cannot be read": Case("yolo", image_of_no_size, 2, "size of an image cannot be read", "on_error skip"),
    "image that is left out": Case(
        "yolo", image_of_no_size, 1, "size of an image cannot be read", counted="1 x size", flags="--data.on_error skip"
    ),
    "half an image": Case("yolo", cut("train/images/0.png", 0.5), 2, "could not be read", "could not be read"),
    "no names": Case("yolo", names(""), 2, refused="has no names; expected a list of the classes"),
    "names and another count": Case("yolo", names("nc: 3\nnames: [a, b, c, d]"), 2, refused="has 4 names and nc: 3"),
    "names with a gap": Case("yolo", names("names: {0: a, 2: b}"), 2, refused="the keys of names are 0, 2; expected"),
    "name twice": Case("yolo", names("names: [a, b, c, a]"), 2, refused="class 3 is called 'a', as class 0"),
    "count of classes alone": Case("yolo", names("nc: 4"), 0),
    "not YAML": Case("yolo", names("names: [a"), 2, refused="cannot be read: while parsing"),
    "no folder": Case(
        "yolo", write("data.yaml", "train: here\nnames: [a]"), 2, refused="train is 'here', which is not below 'yolo'"
    ),
}
