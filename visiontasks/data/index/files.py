"""File names in annotations: refused where they leave their folder, looked up by listing folders once."""

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
"""What counts as an image where a folder is listed, in any case of letters."""
_WRITTEN_SUFFIXES = [form for suffix in sorted(IMAGE_SUFFIXES) for form in (suffix, suffix.upper())]


def unsafe_name(name: str) -> str | None:
    """Say why a file name of an annotation must not be opened, or None when it may be.

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
    r"""Find the file that an annotation means, which other systems and tools write in other ways.

    Args:
        name: The name as it is written.
        exists: Tells whether there is a file of a name.

    Returns:
        The name as it is written, else with slashes for backslashes, else without the escapes of URLs, else with the
        suffix of an image; None when there is no such file.

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
    """Find the files that annotations mean, by one listing per folder; names of files that do not exist stay.

    Args:
        root: Folder that the names are relative to.
        names: File names as they are written.
    """
    exists = _Listings(root)
    return [name if exists(name) else find_file(name, exists) or name for name in names]


def missing_files(index: ImageIndex, source: str) -> list[Problem]:
    """Find images and masks that do not exist, by one listing per folder.

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
    """List the files of a folder and of those below it, sorted, as posix paths relative to it; hidden ones left out.

    Links to folders are followed, but for those that lead back.

    Args:
        folder: Where to look.
        suffixes: Endings that count, in lower case; None takes every file.
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
    """Return the ending of a file's name, in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (many names)


def _leads_back(link: Path, top: Path) -> bool:
    """Tell whether a folder is a link to one that it is reached through."""
    if not link.is_symlink():
        return False
    return link.resolve() in {above.resolve() for above in link.parents if above.is_relative_to(top)}


class _Listings:
    """Tells which files there are below a folder, and lists each folder once."""

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
