"""Files of a data set in YOLO's form: images in folders or lists, and the label file of each."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from visiontasks.data.index.file_names import IMAGE_SUFFIXES, Folder, list_files, litter, suffix_of
from visiontasks.data.index.problems import Problem
from visiontasks.data.index.splits import split_of

_LABEL_FOLDERS = {"images": "labels", "Images": "Labels", "IMAGES": "LABELS"}
_LISTS = ("classes.txt", "train.txt", "val.txt", "valid.txt", "test.txt", "images.txt")
_LIST_REMEDY = "Write its name relative to the list or to the root, and put the image there."


class ListedImages(NamedTuple):
    """Images of a split relative to the root, the label file of each, and what was wrong with lists and files."""

    images: list[str]
    labels: list[Path | None]
    problems: list[Problem]


def list_images(root: Path, places: Sequence[Path]) -> ListedImages:
    """List images and find their label files.

    Args:
        root: Folder of the data set.
        places: Folders of images, with their subfolders, and text files that list images, one in a line.
    """
    problems: list[Problem] = []
    names: dict[str, None] = {}
    for place in places:
        for name, record in _read_list(root, place, problems) if place.is_file() else _below(root, place):
            if name in names:
                kind, remedy = "image is listed twice", "It was taken once."
                problems.append(Problem("warning", kind, str(place), record, name, remedy))
            names[name] = None
    images = list(names)
    if not images:
        remedy = "Name a folder of images, or a list of images."
        problems.append(Problem("error", "folder holds no images", ", ".join(map(str, places)), "", "", remedy))
    labels, lost = _find_labels(root, images)
    return ListedImages(images, labels, [*problems, *lost])


def label_name(image: str) -> str:
    """Return the name of an image's label file, as Ultralytics has it.

    Example:
        >>> label_name("set/images/train/1.jpg"), label_name("obj_train_data/1.jpg")
        ('set/labels/train/1.txt', 'obj_train_data/1.txt')
    """
    *folders, file = image.split("/")
    for position in reversed(range(len(folders))):
        if folders[position] in _LABEL_FOLDERS:
            folders[position] = _LABEL_FOLDERS[folders[position]]
            break
    return "/".join([*folders, f"{file.rpartition('.')[0]}.txt"])


def find_below(name: str, bases: Sequence[str], folder: Folder) -> str | None:
    r"""Find a file or folder whose path was written on another machine, or relative to another folder.

    Args:
        name: The path as written.
        bases: Folders that it may be relative to, themselves relative to the root.
        folder: The root.

    Returns:
        The path relative to the root; None if there is nothing of that path below it. Where it is not what a base and
        the name make, it is the longest ending of the first of these that exists: ``../train/images``,
        ``/content/set/train/images`` and ``C:\set\train\images`` are ``train/images``. An ending without the name of
        a split that comes before it is another split's.
    """
    slashes = name.replace("\\", "/")
    absolute = slashes.startswith("/") or slashes[1:2] == ":"
    top = folder.root.absolute().as_posix()
    if absolute and slashes.startswith(f"{top}/"):
        slashes, absolute, bases = slashes.removeprefix(f"{top}/"), False, ["."]
    written = [os.path.normpath(f"{base}/{slashes}".removeprefix("./")).replace(os.sep, "/") for base in bases]
    tried = [] if absolute else written
    parts = [part for part in (slashes if absolute else written[0]).split("/") if part not in ("", ".", "..")]
    before = next((position for position, part in enumerate(parts) if split_of(part)), len(parts))
    tried += ["/".join(parts[start:]) for start in range(min(before + 1, len(parts)))]
    for path in tried:
        if path == "." or (not path.startswith(("../", "/")) and path != ".." and path in folder):
            return path
    return None


def _below(root: Path, folder: Path) -> Iterator[tuple[str, str]]:
    base = os.path.relpath(folder, root).replace(os.sep, "/")
    for name in list_files(folder):
        yield name if base == "." else f"{base}/{name}", ""


def _read_list(root: Path, file: Path, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    """Yield the images in a list, relative to the root, and their lines."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        problems.append(Problem("error", "list cannot be read", str(file), "", str(error), "Save it as text in UTF-8."))
        return
    folder = Folder(root)
    base = os.path.relpath(file.parent, root)
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line:
            continue
        name = find_below(line, [base, "."], folder)
        if name is None or suffix_of(name) not in IMAGE_SUFFIXES:
            kind = "listed image is not there" if name is None else "listed file is not an image"
            problems.append(Problem("error", kind, str(file), f"line {number}", repr(line), _LIST_REMEDY))
        else:
            yield name, f"line {number}"


def _find_labels(root: Path, images: Sequence[str]) -> tuple[list[Path | None], list[Problem]]:
    """Find the label file of each image, and label files of images that do not exist."""
    names = [label_name(image) for image in images]
    folders = {name.rpartition("/")[0]: image.rpartition("/")[0] for name, image in zip(names, images, strict=True)}
    there = {folder: _stems(root / folder, frozenset({".txt"})) for folder in folders}
    labels: list[Path | None] = []
    for name in names:
        folder, _, file = name.rpartition("/")
        label = there[folder].get(normalize("NFC", file.removesuffix(".txt")))
        labels.append(None if label is None else Path(f"{root}/{folder}/{label}"))
    problems = []
    for folder, image_folder in folders.items():
        lost = there[folder].keys() - _stems(root / image_folder, IMAGE_SUFFIXES).keys()
        kind, remedy = "label file without image", "It was left out."
        problems += [
            Problem("warning", kind, str(root / folder), there[folder][stem], "", remedy)
            for stem in sorted(lost)
            if there[folder][stem].lower() not in _LISTS and not stem.lower().startswith("readme")
        ]
    return labels, problems


def _stems(folder: Path, suffixes: frozenset[str]) -> dict[str, str]:
    """Return the files of a folder with some suffixes by their names without."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (strings of a large folder)
    except OSError:
        return {}
    kept = (name for name in names if suffix_of(name) in suffixes and not litter(name))
    return {normalize("NFC", name.rpartition(".")[0]): name for name in kept}
