"""Records of a COCO instances file: parsed as a whole if all are valid, otherwise one by one."""

import json
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from visiontasks.data.index.problems import Problem

Identifier = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Length = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Image(Struct, gc=False):
    """An entry of ``images``; a missing height or width is 0."""

    id: Identifier
    file_name: str
    width: Length = 0
    height: Length = 0


class Category(Struct, gc=False):
    """An entry of ``categories``."""

    id: Identifier
    name: str


class Annotation(Struct, gc=False):
    """An entry of ``annotations``; the segmentation stays text until its image is known."""

    id: Identifier
    image_id: Identifier
    category_id: Identifier
    bbox: tuple[float, float, float, float]
    area: float | None = None
    iscrowd: int | bool = 0
    segmentation: Raw = Raw(b"null")


class Dataset(Struct):
    """The lists of an instances file."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


class Records(NamedTuple):
    """Contents of a file.

    Attributes:
        dataset: The well-formed records.
        rows: Position of each annotation in the file.
        problems: Malformed records, and problems of the file as a whole.
    """

    dataset: Dataset
    rows: list[int] | range
    problems: list[Problem]


Record = TypeVar("Record", Image, Category, Annotation)

# Not strict: pandas and others write 60.0 and "60" for integers.
_DECODER = msgspec.json.Decoder(Dataset, strict=False)


def read_records(file: Path) -> Records:
    """Read a COCO instances file.

    Args:
        file: A json file with ``images``, ``annotations`` and ``categories``; other keys are ignored.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        return _unreadable(file, f"file cannot be read ({error.strerror})", "Name the annotation file.")
    try:
        dataset = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # Slower, but accepts NaN, null, other encodings and a byte-order mark, and continues after a bad record.
        return _read_leniently(data, file)
    return Records(dataset, range(len(dataset.annotations)), [])


def _read_leniently(data: bytes, file: Path) -> Records:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        return _unreadable(file, f"file is no JSON ({error})", "Get it again, or write it again.")
    if not isinstance(content, dict):
        found = f"file holds {'a list' if isinstance(content, list) else 'one value'} instead of an object"
        return _unreadable(file, found, "Name an instances file (with images, annotations, categories), not results.")
    dataset, problems = Dataset([], [], []), []
    for key in ("images", "annotations", "categories"):
        entries = content.get(key)
        if not isinstance(entries, list):
            found = f"has no {key!r}" if entries is None else f"has {key!r} that is not a list"
            remedy = "An instances file has the lists images, annotations and categories."
            problems.append(Problem("error", f"file {found}", str(file), "", ", ".join(map(repr, content)), remedy))
            content[key] = []
    dataset.images, _ = _convert(content["images"], Image, "images", file, problems)
    dataset.categories, _ = _convert(content["categories"], Category, "categories", file, problems)
    for entry in content["annotations"]:
        if isinstance(entry, dict) and "segmentation" in entry:
            entry["segmentation"] = Raw(msgspec.json.encode(entry["segmentation"]))
    dataset.annotations, rows = _convert(content["annotations"], Annotation, "annotations", file, problems)
    return Records(dataset, rows, problems)


def _convert(
    entries: list[Any], kind: type[Record], key: str, file: Path, problems: list[Problem]
) -> tuple[list[Record], list[int]]:
    """Convert the well-formed entries, return them with their positions, and report the others."""
    records, rows = [], []
    optional = {field.name for field in msgspec.structs.fields(kind) if not field.required}
    for row, entry in enumerate(entries):
        try:
            stated = entry
            if isinstance(entry, dict):
                stated = {name: value for name, value in entry.items() if value is not None or name not in optional}
            records.append(msgspec.convert(stated, kind, strict=False))
            rows.append(row)
        except msgspec.ValidationError as error:
            name = f"{key}[{row}]"
            value = entry
            if isinstance(entry, dict):
                name += f" (id {entry.get('id')!r})"
                field = str(error).rpartition("`$.")[2].split("`")[0].split("[")[0]
                value = entry[field] if field in entry else {key: entry[key] for key in entry if key != "segmentation"}
            found = f"{_shorten(value)} ({error})"
            remedy = "Correct or delete the record; a bbox is four numbers, an id is an integer."
            problems.append(Problem("error", "malformed record", str(file), name, found, remedy))
    return records, rows


def _shorten(value: Any, length: int = 120) -> str:  # noqa: ANN401 (any JSON)
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _unreadable(file: Path, kind: str, remedy: str) -> Records:
    return Records(Dataset([], [], []), [], [Problem("error", kind, str(file), "", "", remedy)])
