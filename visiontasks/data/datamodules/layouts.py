"""Finds the parts of a data set by the names that are usual for them, and says what it looked for when it fails."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from visiontasks.errors import DataError

SPLIT_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation"), "test": ("test", "testing")}
"""What the folders and files of a split are called."""

_SHOWN = 20
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)+")')


def first_existing(root: Path, candidates: Iterable[str]) -> Path | None:
    """Return the first path below a folder that exists."""
    return next((root / candidate for candidate in candidates if (root / candidate).exists()), None)


def check_root(root: Path) -> None:
    """Check that the folder of a data set is there.

    Raises:
        DataError: If it does not exist or is no folder.
    """
    if not root.is_dir():
        parent = root.parent if root.parent.is_dir() else Path.cwd()
        found = "is a file" if root.exists() else "does not exist"
        message = f"root {str(root)!r} {found}; expected a folder. In {str(parent)!r}: {_listing(parent)}."
        raise DataError(message)


def layout_error(root: Path, expected: Sequence[str], remedy: str) -> DataError:
    """Make the error that a folder does not hold a data set of the kind expected.

    Args:
        root: The folder.
        expected: What was looked for, one layout each.
        remedy: What to do.
    """
    looked = "\n".join(f"  - {layout}" for layout in expected)
    message = f"{str(root)!r} holds none of these layouts:\n{looked}\nIt holds: {_listing(root)}. {remedy}"
    return DataError(message)


def find_images_folder(root: Path, name: str, near: Sequence[str] = ()) -> Path:
    """Find the folder that the file names of annotations are relative to.

    Args:
        root: Where to search, in depth.
        name: One of the file names.
        near: Folders below ``root`` to try first.

    Returns:
        The folder; ``root`` when no folder holds such a file, so that the files are reported as missing from there.
    """
    for folder in (*(root / candidate for candidate in near), root):
        if (folder / name).is_file():
            return folder
    for parent, folders, _ in os.walk(root):
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
        if (Path(parent) / name).is_file():
            return Path(parent)
    return root


def first_file_name(annotations: Path) -> str:
    """Read the first ``file_name`` of a COCO file without parsing the whole; "" when there is none."""
    tail = b""
    try:
        with annotations.open("rb") as file:
            while chunk := file.read(1 << 20):
                found = _FILE_NAME.search(tail + chunk)
                if found is not None:
                    return str(json.loads(found[1]))
                tail = chunk[-4096:]
    except (OSError, ValueError):
        pass
    return ""


def _listing(folder: Path) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in folder.iterdir())
    if not names:
        return "nothing"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
