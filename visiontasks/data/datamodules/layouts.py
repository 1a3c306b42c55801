"""Search for the parts of a data set by their usual names; errors say what was searched for."""

import json
import os
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePath
from unicodedata import normalize

from visiontasks.data.index.file_names import Folder, litter
from visiontasks.errors import DataError

_SHOWN = 20
_FILE_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)+")')


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


def layout_error(root: Path, expected: Sequence[str], remedy: str) -> DataError:
    """Create the error that a folder does not contain a data set of the expected kind.

    Args:
        root: The folder.
        expected: The layouts that were searched for.
        remedy: What to do.
    """
    looked = "\n".join(f"  - {layout}" for layout in expected)
    message = f"{str(root)!r} holds none of these layouts:\n{looked}\nIt holds: {_listing(root)}. {remedy}"
    return DataError(message)


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
    near = [] if beside == root else [beside, beside / "images"]
    for name in split_names:
        near += [root / name, root / name / "images", root / "images" / name]
    near += [root / "images", root]
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
    """Read the first values of ``file_name`` in a COCO file without parsing the whole file."""
    names: dict[str, None] = {}
    tail = b""
    try:
        with annotations.open("rb") as file:
            while len(names) < count and (chunk := file.read(1 << 20)):
                text = tail + chunk
                names |= dict.fromkeys(str(json.loads(found[1])) for found in islice(_FILE_NAME.finditer(text), count))
                tail = text[-4096:]
    except (OSError, ValueError):
        pass
    return list(names)[:count]


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
