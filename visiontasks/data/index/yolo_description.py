"""The file that describes a data set in YOLO's form: Ultralytics' ``data.yaml`` or Darknet's ``obj.data``."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from visiontasks.data.index.splits import split_of
from visiontasks.data.index.yolo_lines import KeyPoints
from visiontasks.errors import DataError

_NOTHING = ("", "null", "~", "None")
_NUMBERED = re.compile(r"(\d+)[\s:.]+(.+)")


@dataclass(frozen=True)
class Description:
    """Contents of a description, with paths as they are written.

    Attributes:
        file: The description.
        path: Folder that the paths of the splits are relative to; "" for that of the file.
        splits: Folders and lists of ``train``, ``val`` and ``test``.
        names: Names of the classes by their numbers; None if they are in ``names_file``.
        names_file: File of the names.
        key_points: Shape of key points; None if there are none.
    """

    file: Path
    path: str
    splits: Mapping[str, tuple[str, ...]]
    names: tuple[str, ...] | None
    names_file: str = ""
    key_points: KeyPoints | None = None


def read_description(file: Path) -> Description:
    """Read a description.

    Args:
        file: YAML, or lines of ``key = value`` if its suffix is ``.data``.

    Raises:
        DataError: If it cannot be read, or says nothing of the classes, or contradicts itself.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
        # The base loader leaves every value as it is written: a class called no is not a truth value.
        content = _read_pairs(text) if file.suffix == ".data" else yaml.load(text, Loader=yaml.BaseLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        message = f"{str(file)!r} cannot be read: {error}. Save it as YAML in UTF-8."
        raise DataError(message) from error
    if not isinstance(content, dict):
        message = f"{str(file)!r} holds no keys; expected train, val and names."
        raise DataError(message)
    splits: dict[str, tuple[str, ...]] = {}
    for key, value in content.items():
        split = split_of(str(key))
        if split is not None and (places := _texts(value, f"{str(file)!r}: {key}")):
            splits.setdefault(split, places)
    path = _texts(content.get("path", ""), f"{str(file)!r}: path")
    names_file = str(content.get("names", "")) if file.suffix == ".data" else ""
    names = None if names_file else _names(content, file)
    return Description(
        file, path[0] if path else "", splits, names, names_file, _key_points(content.get("kpt_shape"), file)
    )


def described_root(description: Description) -> Path:
    """Return the folder of the data set that a description describes; that of the file if the written one is not there.

    Args:
        description: The description.
    """
    folder = description.file.parent
    written = Path(os.path.normpath(folder / description.path))
    return written if written.is_dir() else folder


def check_root_of(description: Description, root: Path) -> None:
    """Check that a description outside of a data set is not that of another, whose classes have other numbers.

    Args:
        description: The description.
        root: Folder of the data set.

    Raises:
        DataError: If it says that its images are elsewhere. A path of another machine counts as that of the data set
            if it has the name of its folder.
    """
    folder = description.file.resolve().parent
    if folder.is_relative_to(root.resolve()):
        return
    for place in (each for places in description.splits.values() for each in places):
        written = f"{description.path}/{place}".replace("\\", "/").split("/")
        described = Path(os.path.normpath(folder / description.path / place))
        # A folder below the root may be a link to another, and so may the root.
        below = described.is_relative_to(root.absolute()) or described.resolve().is_relative_to(root.resolve())
        of_another_machine = not described.exists() and root.resolve().name in written
        if not below and not of_another_machine:
            message = (
                f"{str(description.file)!r} describes the images in {str(described)!r}, and the root is {str(root)!r}: "
                "the numbers of its classes may be others. Leave the root out to take the images that it describes, or "
                "name the description of the root."
            )
            raise DataError(message)


def read_names(file: Path) -> tuple[str, ...]:
    """Read the names of classes, one in a line, in the order of their numbers, which may precede them.

    Raises:
        DataError: If the file cannot be read, or names a class twice or not at all.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except (OSError, ValueError) as error:
        message = (
            f"{str(file)!r} cannot be read: {error}. Save it as text in UTF-8, with the name of a class in a line."
        )
        raise DataError(message) from error
    names = [line.strip() for line in lines]
    numbered = [found for name in names if (found := _NUMBERED.fullmatch(name))]
    first = int(numbered[0][1]) if len(numbered) == len(names) > 1 else None
    if first is not None and [int(found[1]) for found in numbered] == list(range(first, first + len(names))):
        if first != 0:
            message = f"{str(file)!r}: its lines are numbered from {first}; expected numbers from 0, as in the labels."
            raise DataError(message)
        names = [found[2] for found in numbered]
    return _distinct(names, file)


def _read_pairs(text: str) -> dict[str, Any]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip() for key, value in pairs}


def _texts(value: Any, place: str) -> tuple[str, ...]:  # noqa: ANN401 (any YAML)
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(entry, str) for entry in values):
        message = f"{place} holds keys; expected a folder, a list of folders, or a .txt file that lists images."
        raise DataError(message)
    return tuple(entry for entry in values if entry not in _NOTHING)


def _names(content: Mapping[str, Any], file: Path) -> tuple[str, ...]:
    names, count = content.get("names"), content.get("nc")
    number = int(count) if isinstance(count, str) and count.isdecimal() else None
    if names in (None, *_NOTHING) and number:
        return tuple(f"class_{label}" for label in range(number))  # as Ultralytics calls them
    if isinstance(names, dict):
        expected = [str(label) for label in range(len(names))]
        if {str(key).strip() for key in names} != set(expected):
            message = (
                f"{str(file)!r}: the keys of names are {', '.join(map(str, names))}; expected the class numbers from 0 "
                f"to {len(names) - 1}."
            )
            raise DataError(message)
        names = [{str(key).strip(): name for key, name in names.items()}[key] for key in expected]
    if not isinstance(names, list) or not names:
        message = f"{str(file)!r} has no names; expected a list of the classes, or a name for each class number."
        raise DataError(message)
    if not all(isinstance(name, str) for name in names):
        message = f"{str(file)!r}: names holds lists or keys; expected a name for each class."
        raise DataError(message)
    if number is not None and number != len(names):
        message = f"{str(file)!r} has {len(names)} names and nc: {number}; correct one of them."
        raise DataError(message)
    return _distinct([name.strip() for name in names], file)


def _distinct(names: Sequence[str], file: Path) -> tuple[str, ...]:
    for number, name in enumerate(names):
        if not name or name in names[:number]:
            fault = f"is called {name!r}, as class {names.index(name)}" if name else "has no name"
            message = f"{str(file)!r}: class {number} {fault}; name each class once."
            raise DataError(message)
    if not names:
        message = f"{str(file)!r} names no class; expected one in a line."
        raise DataError(message)
    return tuple(names)


def _key_points(shape: Any, file: Path) -> KeyPoints | None:  # noqa: ANN401 (any YAML)
    if shape in (None, *_NOTHING):
        return None
    numbers = [int(value) for value in shape if isinstance(value, str) and value.isdecimal()]
    if not isinstance(shape, list) or len(shape) != 2 or len(numbers) != 2 or numbers[1] not in (2, 3):
        message = f"{str(file)!r}: kpt_shape is {shape!r}; expected the number of points and of dimensions, as [17, 3]."
        raise DataError(message)
    return KeyPoints(*numbers)
