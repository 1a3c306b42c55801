"""Small data sets in VOC's form."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Corners = tuple[object, object, object, object]


def xml(objects: Sequence[str], size: tuple[int, int] | None = (60, 40), file_name: str = "") -> str:
    """Write an annotation; size is (width, height)."""
    text = f"<annotation><filename>{escape(file_name)}</filename>"
    if size is not None:
        text += f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return text + "".join(objects) + "</annotation>"


def thing(name: str, corners: Corners, difficult: str | None = "0") -> str:
    """Write an object."""
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    flag = "" if difficult is None else f"<difficult>{difficult}</difficult>"
    return f"<object><name>{name}</name>{flag}<bndbox>{sides}</bndbox></object>"


SMALL = {
    "a b": xml([thing("dog", (1, 1, 60, 40)), thing("cat", (11, 6, 20, 30), "1"), thing("dog", (5, 5, 9, 9), None)]),
    "é😀": xml([thing("person", (0, 3, 8, 9))]),
    "empty": xml([]),
    "other": xml([thing("bird", (2, 2, 8, 9))]),
}


def write_devkit(
    folder: Path, annotations: Mapping[str, str] = SMALL, lists: Mapping[str, Sequence[str]] | None = None
) -> Path:
    """Write annotations, empty image files and lists; by default "train" holds all but the last image."""
    for name in ("Annotations", "JPEGImages", "ImageSets/Main", "ImageSets/Segmentation", "SegmentationClass"):
        (folder / name).mkdir(parents=True)
    for stem, text in annotations.items():
        (folder / "Annotations" / f"{stem}.xml").write_text(text)
        (folder / "JPEGImages" / f"{stem}.jpg").touch()
    stems = list(annotations)
    for name, chosen in (lists or {"train": stems[:-1], "val": stems[-1:]}).items():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_text("\n".join(chosen) + "\n")
    return folder
