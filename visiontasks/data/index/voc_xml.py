"""Reading of XML files in PASCAL VOC format, one by one or in parallel."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from visiontasks.data.index.problems import Problem
from visiontasks.data.loading.processes import map_files


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

    Args:
        file: An XML file as written by VOC and labelImg.
    """
    try:
        root: Element = fromstring(file.read_bytes())
    except DefusedXmlException as error:
        return _unreadable(file, "XML declares entities, which may expand without bound", type(error).__name__)
    except OSError as error:
        return _unreadable(file, "annotation file cannot be read", str(error.strerror))
    except (ParseError, ValueError, LookupError) as error:
        return _unreadable(file, "file is no XML", str(error))
    objects, problems = [], []
    for position, entry in enumerate(root.iterfind("object")):
        name = (entry.findtext("name") or "").strip()
        record = f"object {position + 1} ({name})"
        corners = [entry.findtext(f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
        try:
            xmin, ymin, xmax, ymax = (float(corner or "") for corner in corners)
        except ValueError:
            remedy = "A bndbox has the numbers xmin, ymin, xmax, ymax."
            problems.append(Problem("error", "malformed box", str(file), record, _show(corners), remedy))
            continue
        if not name:
            problems.append(Problem("error", "object without name", str(file), record, "", "Name its class."))
            continue
        objects.append(VocObject(record, name, (xmin, ymin, xmax, ymax), _integer(entry.findtext("difficult")) > 0))
    size = _integer(root.findtext("size/height")), _integer(root.findtext("size/width"))
    return VocAnnotation((root.findtext("filename") or "").strip(), size, objects, problems)


def _integer(text: str | None) -> int:
    try:
        return min(max(0, int(float(text or ""))), 2**31 - 1)
    except (ValueError, OverflowError):
        return 0


def _show(values: Sequence[Any]) -> str:
    return f"[{', '.join('nothing' if value is None else repr(value.strip()) for value in values)}]"


def _unreadable(file: Path, kind: str, found: str) -> VocAnnotation:
    problem = Problem("error", kind, str(file), "", found, "Correct the file, or leave it out.")
    return VocAnnotation("", (0, 0), [], [problem])
