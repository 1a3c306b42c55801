"""Reading of XML files in PASCAL VOC format, one by one or in parallel."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from visiontasks.data.index.foreign import xml_form
from visiontasks.data.index.problems import Problem
from visiontasks.data.loading.processes import map_files

_DECLARATION = re.compile(rb"""\s*<\?xml[^>]*?\bencoding\s*=\s*["']([A-Za-z0-9._:-]+)["'][^>]*>""")
_DECODED_BY = {
    **{"gb2312": "gb18030", "gb_2312-80": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "big5": "cp950"},
    "utf-16": "utf-8",  # the declaration itself is in single bytes
}
"""Codecs of files that declare less than they hold."""
_KNOWN = {
    *("filename", "folder", "object", "owner", "path", "segmented", "size", "source"),
    *("annotation", "created", "date", "md5", "verified", "version", "view", "weather", "imagesize"),
}
"""Elements of an annotation that describe its image."""


class VocObject(NamedTuple):
    """An object as written: 1-based inclusive corners; ``record`` is its name in messages."""

    record: str
    name: str
    box: tuple[float, float, float, float]
    difficult: bool


class VocAnnotation(NamedTuple):
    """Contents of one file.

    Attributes:
        file_name: Image file, "" if not given.
        size: (height, width), 0 if not given.
        objects: The well-formed objects.
        problems: Malformed objects, or why the file cannot be read.
    """

    file_name: str
    size: tuple[int, int]
    objects: list[VocObject]
    problems: list[Problem]


def read_annotations(files: Sequence[Path]) -> list[VocAnnotation]:
    """Read files, in parallel processes if there are thousands."""
    return map_files(read_annotation, files)


def read_annotation(file: Path) -> VocAnnotation:
    """Read a file. Entities are rejected, so that no file expands beyond its size.

    Namespaces and the case of elements are ignored; objects may be in elements that enclose them. Each ``bndbox`` of an
    object is an object.

    Args:
        file: An XML file as written by VOC and labelImg.
    """
    try:
        root = _parse(file.read_bytes())
    except DefusedXmlException as error:
        return _unreadable(file, "XML declares entities, which may expand without bound", type(error).__name__)
    except OSError as error:
        return _unreadable(file, "annotation file cannot be read", str(error.strerror))
    except (ParseError, ValueError, LookupError) as error:
        return _unreadable(file, "file is not XML", str(error))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2].lower()
    if (form := xml_form(root)) is not None:
        return _unreadable(file, f"file holds {form.name}, a form that is not read", f"<{root.tag}>", form.remedy)
    # VOC's own files have an element of that name, with a text, in their source.
    whole = (element for element in root.iter("annotation") if len(element))
    annotations = [element for element in whole if element.find("annotation") is None]
    entries = list(_objects(root))
    if len(annotations) > 1:
        remedy = "Write one file for each image."
        return _unreadable(file, "file annotates several images", f"{len(annotations)} x <annotation>", remedy)
    if not annotations and not entries:
        remedy = "Take it out of the folder of annotations, or write <annotation> with an <object> for each box."
        return _unreadable(file, "file is not a VOC annotation", f"<{root.tag}>", remedy)
    annotation = annotations[0] if annotations else root
    objects, problems = [], []
    for position, entry in enumerate(entries):
        read, found = _read_object(entry, position, str(file))
        objects += read
        problems += found
    unknown = sorted({child.tag for child in annotation} - _KNOWN)
    if not entries and unknown:
        remedy = "Its image counts as one without objects: each object is an element named object."
        value = ", ".join(unknown)
        problems.append(Problem("warning", "XML without object but with other elements", str(file), "", value, remedy))
    size = _integer(annotation.findtext("size/height")), _integer(annotation.findtext("size/width"))
    return VocAnnotation((annotation.findtext("filename") or "").strip(), size, objects, problems)


def _parse(data: bytes) -> Element:
    """Parse XML; expat itself decodes no encodings of several bytes other than those of Unicode."""
    declared = _DECLARATION.match(data)
    encoding = declared[1].decode().lower() if declared else "utf-8"
    text = data if encoding in ("utf-8", "us-ascii") else data.decode(_DECODED_BY.get(encoding, encoding))
    root: Element = fromstring(text)
    return root


def _objects(element: Element) -> Iterator[Element]:
    """Find the objects below an element, but not those inside of objects."""
    for child in element:
        if child.tag == "object":
            yield child
        else:
            yield from _objects(child)


def _read_object(entry: Element, position: int, file: str) -> tuple[list[VocObject], list[Problem]]:
    names = [name for name in ((child.text or "").strip() for child in entry.iterfind("name")) if name]
    record = f"object {position + 1} ({', '.join(names)})"
    if len(names) != 1:
        kind, remedy = "object with several names", "Write an object for each class."
        if not names:
            kind, remedy = "object without name", "Name its class."
        return [], [Problem("error", kind, file, record, "", remedy)]
    difficult = _integer(entry.findtext("difficult")) > 0
    objects: list[VocObject] = []
    problems: list[Problem] = []
    frames = entry.findall("bndbox")
    if not frames:
        value = f"it holds {', '.join(child.tag for child in entry)}"
        remedy = "Each object has a bndbox with the numbers xmin, ymin, xmax, ymax."
        problems.append(Problem("error", "object without bndbox", file, record, value, remedy))
    for number, frame in enumerate(frames, 1):
        named = record if len(frames) == 1 else f"{record}, bndbox {number}"
        corners = [frame.findtext(corner) for corner in ("xmin", "ymin", "xmax", "ymax")]
        try:
            xmin, ymin, xmax, ymax = (float(corner or "") for corner in corners)
        except ValueError:
            remedy = "A bndbox has the numbers xmin, ymin, xmax, ymax."
            problems.append(Problem("error", "malformed box", file, named, _show(corners), remedy))
        else:
            objects.append(VocObject(named, names[0], (xmin, ymin, xmax, ymax), difficult))
    return objects, problems


def _integer(text: str | None) -> int:
    try:
        return min(max(0, int(float(text or ""))), 2**31 - 1)
    except (ValueError, OverflowError):
        return 0


def _show(values: Sequence[Any]) -> str:
    return f"[{', '.join('nothing' if value is None else repr(value.strip()) for value in values)}]"


def _unreadable(file: Path, kind: str, found: str, remedy: str = "Correct the file, or leave it out.") -> VocAnnotation:
    problem = Problem("error", kind, str(file), "", found, remedy)
    return VocAnnotation("", (0, 0), [], [problem])
