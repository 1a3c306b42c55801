"""Search for the parts of a data set by their usual names; errors say what was searched for."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path, PurePath
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import unquote, urlsplit

from visiontasks.data.index.file_names import Folder, litter, suffix_of
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.errors import DataError

_SHOWN = 20
_BY_SUFFIX = {".json": "COCODataModule", ".csv": "CSVDataModule", ".yaml": "YOLODataModule"}
_FILE_NAME = re.compile(r'"(file_name|coco_url)"\s*:\s*("(?:[^"\\]|\\.)+")')


class Layout(NamedTuple):
    """Where a tool puts the annotations and images of a data set.

    Attributes:
        tools: Who writes it.
        module: The data module that reads it.
        annotations: Path of the annotations below the root: a file, or a folder of one file per image; ``{}`` stands
            for the name of a split.
        images: Folder of the images, if it is always the same; otherwise it is searched for.
    """

    tools: str
    module: str
    annotations: str
    images: str | None = None


LAYOUTS = (
    Layout("COCO, CVAT, Datumaro", "COCODataModule", "annotations/instances_{}.json"),
    Layout("COCO", "COCODataModule", "annotations/{}.json"),
    Layout("Roboflow", "COCODataModule", "{}/_annotations.coco.json"),
    Layout("FiftyOne", "COCODataModule", "{}/labels.json"),
    Layout("COCO", "COCODataModule", "{}.json"),
    Layout("COCO", "COCODataModule", "instances_{}.json"),
    Layout("LVIS", "COCODataModule", "lvis_v1_{}.json"),
    Layout("LVIS", "COCODataModule", "annotations/lvis_v1_{}.json"),
    Layout("CVAT, Datumaro", "COCODataModule", "annotations/instances_default.json"),
    Layout("Label Studio", "COCODataModule", "result.json"),
    Layout("FiftyOne", "COCODataModule", "labels.json"),
    Layout("Roboflow", "VOCDataModule", "{}", "{}"),
    Layout("FiftyOne", "VOCDataModule", "{}/labels", "{}/data"),
    Layout("labelImg", "VOCDataModule", "{}/annotations", "{}/images"),
    Layout("labelImg", "VOCDataModule", "annotations/{}", "images/{}"),
    Layout("PASCAL VOC, CVAT, Datumaro", "VOCDataModule", "Annotations", "JPEGImages"),
    Layout("Label Studio, Kaggle", "VOCDataModule", "annotations", "images"),
    Layout("Oxford-IIIT Pet", "VOCDataModule", "annotations/xmls", "images"),
    Layout("FiftyOne", "VOCDataModule", "labels", "data"),
    Layout("labelImg", "VOCDataModule", "", ""),
    Layout("Kaggle", "CSVDataModule", "{}.csv"),
    Layout("Roboflow", "CSVDataModule", "{}/_annotations.csv"),
    Layout("Roboflow", "CSVDataModule", "{}/_classes.csv"),
    Layout("TensorFlow", "CSVDataModule", "{}_labels.csv"),
    Layout("Ultralytics, Roboflow", "YOLODataModule", "data.yaml"),
    Layout("Ultralytics", "YOLODataModule", "data.yml"),
    Layout("FiftyOne", "YOLODataModule", "dataset.yaml"),
    Layout("Ultralytics", "YOLODataModule", "dataset.yml"),
    Layout("Darknet, CVAT", "YOLODataModule", "obj.data"),
)
"""The layouts that are read, in the order in which they are searched for."""


class LayoutError(DataError):
    """A folder holds no data set of the expected kind, or none of its images are for training."""


class Place(NamedTuple):
    """Where the annotations of a data set, or of a split, and its images are; None for images to search for."""

    annotations: Path
    images: Path | None


def places(root: Path, module: str, split_names: Sequence[str] = ()) -> Iterator[Place]:
    """Find the annotations below a folder that are in one of the layouts, in any capitalisation.

    Args:
        root: The folder.
        module: The data module that reads the layouts.
        split_names: Names of a split; without them, layouts without splits are searched.
    """
    for layout in LAYOUTS:
        if layout.module != module or ("{}" in layout.annotations) != bool(split_names):
            continue
        for name in split_names or ("",):
            for form in dict.fromkeys((name, name.capitalize(), name.upper())):
                annotations = spelled(root, layout.annotations.format(form))
                images = None if layout.images is None else spelled(root, layout.images.format(form))
                if annotations is not None and (layout.images is None or images is not None):
                    yield Place(root / annotations, None if images is None else root / images)


def described(module: str) -> list[str]:
    """Describe the layouts that a data module reads."""
    lines = []
    for layout in LAYOUTS:
        if layout.module == module:
            paths = [layout.annotations, *([] if layout.images in (None, layout.annotations) else [layout.images])]
            named = " and ".join(path.format("train") or "images with an XML file beside each" for path in paths)
            lines.append(f"{named} ({layout.tools})")
    return lines


def module_of(root: Path) -> str | None:
    """Return the name of the data module that probably reads the annotations in a folder; None if there are none."""
    for split_names in (*SPLIT_NAMES.values(), ()):
        for module in dict.fromkeys(layout.module for layout in LAYOUTS):
            if any(
                place.annotations.is_file() or holds_xml(place.annotations)
                for place in places(root, module, split_names)
            ):
                return module
    return next((module for suffix, module in _BY_SUFFIX.items() if any(root.glob(f"*{suffix}"))), None)


def holds_xml(folder: Path) -> bool:
    """Return whether a folder itself, not one in it, holds XML files."""
    return folder.is_dir() and any(
        suffix_of(name.name) == ".xml" and not litter(name.name) for name in folder.iterdir()
    )


def first_existing(root: Path, candidates: Iterable[str]) -> Path | None:
    """Return the first candidate that exists below a folder, in any capitalisation (see :func:`spelled`)."""
    return next((root / found for found in (spelled(root, name) for name in candidates) if found), None)


def spelled(root: Path, name: str) -> str | None:
    """Return a path below a folder as it is spelled there: each part as given, capitalised or in upper case.

    Accents may be written as other code points.

    Returns:
        The path relative to the folder; None when there is none.
    """
    path = PurePath()
    for part in PurePath(name).parts:
        cases = (part, part.capitalize(), part.upper())
        written = cases if part.isascii() else (*cases, normalize("NFC", part), normalize("NFD", part))
        forms = [path / form for form in written if (root / path / form).exists()]
        if not forms:
            return None
        path = forms[0]
    return path.as_posix()


def check_root(root: Path) -> None:
    """Check that the folder of a data set exists.

    Raises:
        DataError: If it does not exist or is not a folder.
    """
    if not root.is_dir():
        parent = root.parent if root.parent.is_dir() else Path.cwd()
        found = "is a file" if root.exists() else "does not exist"
        message = f"root {str(root)!r} {found}; expected a folder. In {str(parent)!r}: {_listing(parent)}."
        raise DataError(message)


def layout_error(root: Path, expected: Sequence[str], remedy: str) -> LayoutError:
    """Create the error that a folder does not contain a data set of the expected kind.

    Args:
        root: The folder.
        expected: The layouts that were searched for.
        remedy: What to do.
    """
    looked = "\n".join(f"  - {layout}" for layout in expected)
    message = f"{str(root)!r} holds none of these layouts:\n{looked}\nIt holds: {_listing(root)}. {remedy}"
    return LayoutError(message)


def find_images_folder(root: Path, names: Sequence[str], beside: Path, split_names: Sequence[str]) -> Path:
    """Find the folder that the file names of annotations are relative to.

    Args:
        root: Folder to search recursively.
        names: Some of the file names; the folder that contains most of them is taken.
        beside: Folder of the annotations, which is tried first if it is not ``root``.
        split_names: Possible names of the split's folder, which are tried next.

    Returns:
        The folder; ``root`` if no folder contains such a file, so that the files are reported as missing from there.

    Raises:
        DataError: If several folders contain them and it is ambiguous which one is meant.
    """
    near = [] if beside == root else [beside, beside / "images", beside / "data"]
    for name in split_names:
        near += [root / name, root / name / "images", root / name / "data", root / "images" / name]
    near += [root / "images", root / "data", root]
    counts = {folder: _held(folder, names) for folder in near}
    if any(counts.values()):
        return max(near, key=counts.__getitem__)
    for parent, folders, _ in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not litter(folder))
        counts[Path(parent)] = _held(Path(parent), names)
    best = [folder for folder, count in counts.items() if count and count == max(counts.values())]
    of_split = [folder for folder in best if {part.lower() for part in folder.relative_to(root).parts} & {*split_names}]
    if len(best) > 1 and len(of_split) != 1:
        found = " and ".join(repr(str(folder.relative_to(root))) for folder in best[:_SHOWN])
        message = f"below {str(root)!r}, {names[0]!r} is in {found}. Say which is meant with images='...'."
        raise DataError(message)
    return next(iter([*of_split, *best]), root)


def first_file_names(annotations: Path, count: int = 5) -> list[str]:
    """Read the first values of ``file_name`` in a COCO file, or of ``coco_url``, without parsing the whole file."""
    names: dict[str, dict[str, None]] = {"file_name": {}, "coco_url": {}}
    tail = ""
    try:
        with annotations.open("rb") as opened:
            file = TextIOWrapper(opened, json.detect_encoding(opened.peek(4)[:4]))
            while max(map(len, names.values())) < count and (chunk := file.read(1 << 20)):
                text = tail + chunk
                for match in islice(_FILE_NAME.finditer(text), 2 * count):
                    names[match[1]][str(json.loads(match[2]))] = None
                tail = text[-4096:]
    except (OSError, ValueError):
        pass
    addresses = [unquote(urlsplit(address).path).split("/")[-1] for address in names["coco_url"]]
    return (list(names["file_name"]) or addresses)[:count]


def _held(folder: Path, names: Sequence[str]) -> int:
    """Count how many of the named files a folder contains."""
    files = Folder(folder)
    return sum(files.find(name) is not None for name in names)


def _listing(folder: Path) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    if not names:
        return "nothing"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
