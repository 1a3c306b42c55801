"""Images given as files, folders, patterns and lists, and the names of their results."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from visiontasks.data.index.file_names import IMAGE_SUFFIXES, list_files, suffix_of
from visiontasks.errors import ArgumentError

LIST_SUFFIXES = frozenset({".list", ".lst", ".txt"})
_LISTS = "ImageSets"
"""Folder of the lists in a devkit of VOC."""


def find_files(sources: Iterable[str | Path]) -> list[Path]:
    """List the image files that files, folders (searched in depth), glob patterns and lists name.

    A list is a text file (``.txt``, ``.lst``, ``.list``) with one name per line, relative to the current folder, to
    that of the list, or to ``JPEGImages`` beside the folder of lists in a devkit of VOC. Names may lack their suffix,
    and more columns may follow, as that of the masks in CamVid. Names that do not exist are kept: they fail one by one
    when they are read.

    Args:
        sources: Files, folders, patterns and lists.

    Returns:
        The files, each once, in the order of the sources; those of a folder or pattern sorted.

    Raises:
        ArgumentError: If a source does not exist or names no image.
    """
    files: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            images = [path / name for name in list_files(path)]
        elif path.suffix.lower() in LIST_SUFFIXES and path.is_file():
            images = _read_list(path)
        elif path.exists():
            images = [path]
        else:
            images = sorted(file for file in _glob(path) if not file.is_dir())
        if not images:
            message = f"{str(source)!r} is not a file, a folder with images, a list of them or a pattern of files."
            raise ArgumentError(message)
        files |= dict.fromkeys(images)
    return list(files)


def target_names(files: Sequence[Path], suffix: str) -> list[Path]:
    """Name the results of files: by file name, with as many parent folders as needed to make them distinct.

    Args:
        files: The files.
        suffix: Ending of the results, such as ``".png"``.

    Example:
        >>> [str(name) for name in target_names([Path("a/x.jpg"), Path("b/x.jpg")], ".png")]
        ['a/x.png', 'b/x.png']
        >>> [str(name) for name in target_names([Path("a/x.jpg"), Path("a/x.png")], ".xml")]
        ['x.jpg.xml', 'x.png.xml']
    """
    if not files:
        return []
    absolute = [Path(os.path.abspath(file)) for file in files]  # noqa: PTH100 (resolves .., but follows no link)
    shared = Path(os.path.commonpath([file.parent for file in absolute]))
    named = [file.relative_to(shared) for file in absolute]
    targets = [name.with_suffix(suffix) for name in named]
    if len(set(targets)) == len(targets):
        return targets
    return [name.with_name(f"{name.name}{suffix}") for name in named]


def name_targets(files: Sequence[Path], folder: Path, suffix: str) -> dict[Path | int, Path]:
    """Name the result of each image in a folder.

    Raises:
        ArgumentError: If a result would replace an image.
    """
    targets = target_names(files, suffix)
    sources = {file.resolve() for file in files}
    for target in targets:
        if (folder / target).resolve() in sources:
            message = (
                f"{str(folder / target)!r} is an image to be predicted, and a result of that name would replace it. "
                "Write into another folder."
            )
            raise ArgumentError(message)
    return dict(zip(files, targets, strict=True))


def _read_list(path: Path) -> list[Path]:
    lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    folders = [Path(), path.parent, *(parent.parent / "JPEGImages" for parent in path.parents if parent.name == _LISTS)]
    # Listed once, however many names lack their suffix.
    stems: dict[Path, dict[str, Path]] = {}
    return [_listed(line.strip(), folders, stems) for line in lines if line.strip()]


def _listed(line: str, folders: Sequence[Path], stems: dict[Path, dict[str, Path]]) -> Path:
    """Find the image that a line of a list names: all of the line, or its first column."""
    names = dict.fromkeys((line, line.partition("\t")[0].strip(), line.split()[0]))
    for name in names:
        for folder in folders:
            if (folder / name).is_file():
                return folder / name
    for name in names:
        for place in (folder / name for folder in folders):
            if place.parent not in stems:
                inside = sorted(place.parent.iterdir()) if place.parent.is_dir() else []
                stems[place.parent] = {file.stem: file for file in inside if suffix_of(file.name) in IMAGE_SUFFIXES}
            if place.name in stems[place.parent]:
                return stems[place.parent][place.name]
    return Path(line) if Path(line).is_absolute() else folders[1] / line


def _glob(pattern: Path) -> Iterable[Path]:
    return Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor)))
