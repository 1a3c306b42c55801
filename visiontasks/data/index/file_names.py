"""File names in annotations: rejected if they lead out of their folder, looked up by listing each folder once."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Problem

IMAGE_SUFFIXES = frozenset(
    {
        *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".npy"),
        *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""Suffixes of the files that count as images when a folder is listed, in any case."""
_WRITTEN_SUFFIXES = [form for suffix in sorted(IMAGE_SUFFIXES) for form in (suffix, suffix.upper())]


def unsafe_name(name: str) -> str | None:
    """Return why a file name in an annotation must not be opened, or None if it may be.

    Example:
        >>> unsafe_name("train/ünïcode 😀.jpg")
        >>> unsafe_name("../../etc/passwd")
        'file name leaves the folder of the images'
    """
    if not name or "\0" in name:
        return "file name is empty or holds a zero byte"
    try:
        name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return "file name is no Unicode"
    if ".." not in name and name[0] not in "/\\" and ":" not in name[:2]:
        return None
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor != ""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    return "file name leaves the folder of the images" if absolute or ".." in parts else None


def find_file(name: str, exists: Callable[[str], bool]) -> str | None:
    r"""Find the file that an annotation refers to; other systems and tools may write its name differently.

    Args:
        name: The name as written.
        exists: Returns whether a file of a name exists.

    Returns:
        The first of these names that exists: as written, with slashes instead of backslashes, with URL escapes decoded,
        with an image suffix appended; None if there is none.

    Example:
        >>> find_file("a%20b\\1", {"a b/1.jpg"}.__contains__)
        'a b/1.jpg'
    """
    slashes = name.replace("\\", "/")
    forms = [name, slashes, unquote(slashes)]
    if PurePosixPath(slashes).suffix.lower() not in IMAGE_SUFFIXES:
        forms += [f"{form}{suffix}" for form in forms[1:] for suffix in _WRITTEN_SUFFIXES]
    return next((form for form in forms if not unsafe_name(form) and exists(form)), None)


def found_files(root: Path, names: Iterable[str]) -> list[str]:
    """Find the files that annotations refer to, by listing each folder once; names of missing files are kept.

    Args:
        root: Folder that the names are relative to.
        names: File names as written.
    """
    exists = _Listings(root)
    return [name if exists(name) else find_file(name, exists) or name for name in names]


def missing_files(index: ImageIndex, source: str) -> list[Problem]:
    """Find images and masks that do not exist, by listing each folder once.

    Args:
        index: The index.
        source: The annotations that name the files.
    """
    problems = [
        Problem("error", "image file is missing", source, name, str(index.root / name), _remedy(index.root, name))
        for name in _absent(index.root, index.files)
    ]
    masks = index.masks or ()
    problems += [
        Problem("error", "mask file is missing", source, name, str(index.root / name), _remedy(index.root, name))
        for name in _absent(index.root, filter(None, masks))
    ]
    return problems


def list_files(folder: Path, suffixes: frozenset[str] | None = IMAGE_SUFFIXES) -> list[str]:
    """List the files in a folder and its subfolders, sorted, as relative POSIX paths, without hidden ones.

    Links to folders are followed, except those that lead back to a parent.

    Args:
        folder: The folder.
        suffixes: Suffixes of the files to list, in lower case; None lists every file.
    """
    found = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        shown = (name for name in folders if not name.startswith((".", "__MACOSX")))
        folders[:] = sorted(name for name in shown if not _leads_back(Path(parent, name), folder))
        below = Path(parent).relative_to(folder)
        found += [
            (below / name).as_posix()
            for name in names
            if not name.startswith(".") and (suffixes is None or suffix_of(name) in suffixes)
        ]
    return sorted(found)


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (many names)


def _leads_back(link: Path, top: Path) -> bool:
    """Return whether a folder is a link to one of its parents."""
    if not link.is_symlink():
        return False
    return link.resolve() in {above.resolve() for above in link.parents if above.is_relative_to(top)}


class _Listings:
    """Tells which files exist below a folder; lists each folder once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.listings: dict[str, set[str]] = {}

    def __call__(self, name: str) -> bool:
        parent, _, leaf = name.rpartition("/")
        if parent not in self.listings:
            try:
                self.listings[parent] = set(os.listdir(self.root / parent))  # noqa: PTH208 (strings of a large folder)
            except OSError:
                self.listings[parent] = set()
        return leaf in self.listings[parent]


def _absent(root: Path, names: Iterable[str]) -> list[str]:
    exists = _Listings(root)
    return [name for name in names if not exists(name)]


def _remedy(root: Path, name: str) -> str:
    for form in () if name.isascii() else ("NFC", "NFD"):
        if (root / unicodedata.normalize(form, name)).exists():
            return "A file of that name exists with its accents written as other code points; rename it."
    return "Put the file there, or name the folder of the images."
