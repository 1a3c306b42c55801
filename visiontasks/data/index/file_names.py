"""File names in annotations: rejected if they lead out of their folder, looked up by listing each folder once."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
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
_LITTER = frozenset(
    {
        *("lost+found", "system volume information", "$recycle.bin", "thumbs.db", "desktop.ini", "__macosx"),
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    }
)
"""Names of what systems, network disks and archivers write beside the files of people, in lower case."""


def unsafe_name(name: str, root: Path | None = None) -> str | None:
    """Return why a file name in an annotation must not be opened, or None if it may be.

    Args:
        name: The name as written.
        root: Folder of the images; absolute paths that lie in it are fine.

    Example:
        >>> unsafe_name("train/ünïcode 😀.jpg")
        >>> unsafe_name("../../etc/passwd")
        'file name leaves the folder of the images'
        >>> unsafe_name("/data/set/0.png", Path("/data/set"))
    """
    if not name or "\0" in name:
        return "file name is empty or holds a zero byte"
    try:
        name.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return "file name is not Unicode"
    if ".." not in name and not _maybe_absolute(name):
        return None
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor != ""
    parts = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
    outside = ".." in parts or (absolute and (root is None or _below(root, name) is None))
    return "file name leaves the folder of the images" if outside else None


class Folder:
    """The files below a folder, which lists each of its folders once. A link to what does not exist is not a file.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, set[str]] = {}
        self._spellings: dict[str, dict[str, str]] = {}

    def __contains__(self, name: str) -> bool:
        parent, _, leaf = name.rpartition("/")
        return leaf in self._listing(parent)

    def find(self, name: str) -> str | None:
        r"""Find the file that an annotation refers to; other systems and tools may write its name differently.

        Args:
            name: The name as written.

        Returns:
            The first of these that exists, relative to the folder: as written, with slashes instead of backslashes,
            with URL escapes decoded, with an image suffix appended, and each of them with its suffix in another case
            and its accents in other code points; None if there is none, or several.
        """
        relative = _below(self.root, name) or name
        slashes = relative.replace("\\", "/")
        forms = [relative, slashes, unquote(slashes)]
        if PurePosixPath(slashes).suffix.lower() not in IMAGE_SUFFIXES:
            forms += [f"{form}{suffix}" for form in forms[1:] for suffix in _WRITTEN_SUFFIXES]
        safe = [form for form in forms if not unsafe_name(form)]
        return next((form for form in safe if form in self), None) or next(filter(None, map(self._spelled, safe)), None)

    def _listing(self, parent: str) -> set[str]:
        if parent not in self._names:
            try:
                with os.scandir(self.root / parent) as entries:
                    self._names[parent] = {
                        entry.name for entry in entries if not entry.is_symlink() or Path(entry.path).exists()
                    }
            except OSError:
                self._names[parent] = set()
        return self._names[parent]

    def _spelled(self, name: str) -> str | None:
        """Return a name as it is spelled in the folder; None if there is none of that name."""
        path = ""
        for part in PurePosixPath(name).parts:
            if path not in self._spellings:
                known = Counter(_key(entry) for entry in self._listing(path))
                self._spellings[path] = {_key(entry): entry for entry in self._listing(path) if known[_key(entry)] == 1}
            spelled = part if part in self._listing(path) else self._spellings[path].get(_key(part))
            if spelled is None:
                return None
            path = f"{path}/{spelled}" if path else spelled
        return path


def found_files(root: Path, names: Iterable[str]) -> list[str]:
    """Find the files that annotations refer to, by listing each folder once; names of missing files are kept.

    Args:
        root: Folder that the names are relative to.
        names: File names as written.
    """
    folder = Folder(root)
    return [name if name in folder and not _maybe_absolute(name) else folder.find(name) or name for name in names]


def missing_files(index: ImageIndex, source: str) -> list[Problem]:
    """Find images and masks that do not exist, by listing each folder once.

    Args:
        index: The index.
        source: The annotations that name the files.
    """
    problems = [
        Problem("error", "image file is missing", source, name, str(index.root / name), _remedy(index.root / name))
        for name in _absent(index.root, index.files)
    ]
    masks = index.masks or ()
    problems += [
        Problem("error", "mask file is missing", source, name, str(index.root / name), _remedy(index.root / name))
        for name in _absent(index.root, filter(None, masks))
    ]
    return problems


def list_files(folder: Path, suffixes: frozenset[str] | None = IMAGE_SUFFIXES) -> list[str]:
    """List the files in a folder and its subfolders, sorted, as relative POSIX paths, without :func:`litter`.

    Links to folders are followed, except those that lead back to a parent; links to what does not exist are listed.

    Args:
        folder: The folder.
        suffixes: Suffixes of the files to list, in lower case; None lists every file.
    """
    listed = []
    for parent, folders, names in os.walk(folder, followlinks=True):
        shown = (name for name in folders if not litter(name))
        folders[:] = sorted(name for name in shown if not _leads_back(Path(parent, name), folder))
        below = Path(parent).relative_to(folder)
        listed += [
            (below / name).as_posix()
            for name in names
            if not litter(name) and (suffixes is None or suffix_of(name) in suffixes)
        ]
    return sorted(listed)


def litter(name: str) -> bool:
    """Return whether a file or folder is hidden, or written by a system, a network disk or an archiver.

    Example:
        >>> litter("._a.xml"), litter("@eaDir"), litter("images")
        (True, True, False)
    """
    return name.startswith(".") or name.lower() in _LITTER


def suffix_of(name: str) -> str:
    """Return the suffix of a file name, in lower case."""
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (many names)


def _maybe_absolute(name: str) -> bool:
    return name[:1] in ("/", "\\") or ":" in name[:2]


def _below(root: Path, name: str) -> str | None:
    """Return the part of an absolute path below a folder; None if it is not below it."""
    if not _maybe_absolute(name):
        return None
    for folder in (root.absolute(), root.resolve()):
        for kind in (PurePosixPath, PureWindowsPath):
            path: PurePath = kind(name)
            if path.is_absolute() and path.is_relative_to(kind(folder)) and ".." not in path.parts:
                return path.relative_to(kind(folder)).as_posix()
    return None


def _key(name: str) -> str:
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 (many names)
    return unicodedata.normalize("NFC", stem + suffix.lower())


def _leads_back(link: Path, top: Path) -> bool:
    """Return whether a folder is a link to one of its parents."""
    if not link.is_symlink():
        return False
    return link.resolve() in {above.resolve() for above in link.parents if above.is_relative_to(top)}


def _absent(root: Path, names: Iterable[str]) -> list[str]:
    folder = Folder(root)
    return [name for name in names if name not in folder]


def _remedy(path: Path) -> str:
    if path.is_symlink():
        return f"It is a link to {str(path.readlink())!r}, which does not exist: put the file there, or link another."
    return "Put the file there, or name the folder of the images."
