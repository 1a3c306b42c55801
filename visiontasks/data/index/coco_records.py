"""Records of a COCO instances file: parsed as a whole if all are valid, otherwise one by one."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Meta, Raw, Struct

from visiontasks.data.index.foreign import json_form
from visiontasks.data.index.problems import Problem

Identifier = int | str
Length = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Image(Struct, gc=False):
    """An entry of ``images``; a missing height or width is 0. LVIS names files by their addresses."""

    id: Identifier
    file_name: str = ""
    width: Length = 0
    height: Length = 0
    coco_url: str = ""


class Category(Struct, gc=False):
    """An entry of ``categories``."""

    id: Identifier
    name: str | int | float
    supercategory: str | int | float | None = None


class Annotation(Struct, gc=False):
    """An entry of ``annotations``; the segmentation stays text until its image is known."""

    id: Identifier
    image_id: Identifier
    category_id: Identifier
    bbox: tuple[float, float, float, float] | None = None
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

# Not strict: pandas and others write 60.0 and "60" for whole numbers. An id that is a text stays a text.
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


def name_files(images: Sequence[Image], folder: Path) -> None:
    """Name the files of images that have an address only: its last two parts if there is such a file, or the last.

    Args:
        images: The records.
        folder: Folder of the images.
    """
    for image in images:
        if not image.file_name and image.coco_url:
            parts = unquote(urlsplit(image.coco_url).path).split("/")
            near = "/".join(parts[-2:])
            image.file_name = near if (folder / near).is_file() else parts[-1]


def _read_leniently(data: bytes, file: Path) -> Records:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        return _unreadable(file, f"file is not JSON ({error})", "Get it again, or write it again.")
    if (form := json_form(content)) is not None:
        return _unreadable(file, f"file holds {form.name}, a form that is not read", form.remedy)
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
    annotations = [entry for entry in content["annotations"] if isinstance(entry, dict)]
    for entry in annotations:
        if "segmentation" in entry:
            entry["segmentation"] = Raw(msgspec.json.encode(entry["segmentation"]))
        if entry.get("bbox") == []:
            entry["bbox"] = None
    images, categories = ({str(entry.get(key)) for entry in annotations} for key in ("image_id", "category_id"))
    dataset.images, _ = _convert(content["images"], Image, "images", file, problems, images)
    dataset.categories, _ = _convert(content["categories"], Category, "categories", file, problems, categories)
    dataset.annotations, rows = _convert(content["annotations"], Annotation, "annotations", file, problems)
    return Records(dataset, rows, problems)


def _convert(
    entries: list[Any],
    kind: type[Record],
    key: str,
    file: Path,
    problems: list[Problem],
    used: Collection[str] | None = None,
) -> tuple[list[Record], list[int]]:
    """Convert the well-formed entries, return them with their positions, and report the others.

    Only a warning is due to those that no object refers to: whose id is not ``used``.
    """
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
            needed = used is None
            if isinstance(entry, dict):
                name += f" (id {entry.get('id')!r})"
                field = str(error).rpartition("`$.")[2].split("`")[0].split("[")[0]
                value = entry[field] if field in entry else {key: entry[key] for key in entry if key != "segmentation"}
                needed = used is None or str(entry.get("id")) in used
            found = f"{_shorten(value)} ({error})"
            remedy = "Correct or delete the record; a bbox is four numbers, an id is an integer or a text."
            if not needed:
                remedy = "It was left out, since no object refers to it."
            severity: Literal["error", "warning"] = "error" if needed else "warning"
            problems.append(Problem(severity, "malformed record", str(file), name, found, remedy))
    return records, rows


def _shorten(value: Any, length: int = 120) -> str:  # noqa: ANN401 (any JSON)
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _unreadable(file: Path, kind: str, remedy: str) -> Records:
    return Records(Dataset([], [], []), [], [Problem("error", kind, str(file), "", "", remedy)])
