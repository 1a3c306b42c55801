"""Data sets annotated by the location of their files: class folders, images alone, images and masks."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from visiontasks.data.index.file_names import (
    IMAGE_SUFFIXES,
    list_files,
    litter,
    missing_files,
    suffix_of,
    unsafe_name,
)
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import build_index, encode_labels

OF_CLASSES = ("labeltrainids", "labelids", "label", "mask", "color", "colour", "instance")
OF_INSTANCES = ("instanceids", "instance", "label", "mask")
"""Parts of the endings of masks of classes, and of instances, the likeliest first."""

_BESIDE = frozenset({".csv", ".db", ".html", ".ini", ".json", ".md", ".txt", ".xml", ".yaml", ".yml"})
"""Suffixes of files that may lie beside images and are not images."""


@dataclass(frozen=True)
class ClassFolders:
    """One folder per class; images may be in subfolders.

    Args:
        folder: The folder that contains the class folders.
        class_names: Classes in the order of the labels; None takes the names of the folders, sorted. Pass those of the
            training split for the other splits.
    """

    folder: Path
    class_names: tuple[str, ...] | None = None

    def sources(self) -> Sequence[Path]:
        """Return nothing: the folder listing is the annotation."""
        return []

    def parse(self) -> Parsed:
        """List the folders."""
        listed = list_files(self.folder, None)
        inside = [name for name in listed if "/" in name]
        files, problems = _images_among(self.folder, inside, "It holds one folder of images per class.")
        if loose := [name for name in listed if "/" not in name and suffix_of(name) in IMAGE_SUFFIXES]:
            kind, remedy = "images outside the folders of classes", "They were left out; move them into one."
            problems.append(Problem("warning", kind, str(self.folder), "", _count(loose), remedy))
        problems += self._repeated(files)
        names = [name.partition("/")[0] for name in files]
        class_names = self.class_names
        if class_names is None and self.folder.is_dir():
            class_names = tuple(path.name for path in subfolders(self.folder))
        known, labels, label_problems = encode_labels(names, class_names, lambda row: (str(self.folder), files[row]))
        empty = sorted(set(known) - {normalize("NFC", name) for name in names})
        kind, remedy = "class without images", "Remove the folder, or put images there."
        problems += [Problem("warning", kind, str(self.folder), name, "", remedy) for name in empty]
        keep = labels >= 0
        kept = [file for file, known_class in zip(files, keep, strict=True) if known_class]
        index = build_index(self.folder, kept, known, image_of=range(len(kept)), labels=labels[keep])
        return Parsed(index, [*problems, *label_problems, *missing_files(index, str(self.folder))])

    def _repeated(self, files: Iterable[str]) -> list[Problem]:
        """Find folders without images that all contain the same subfolders, and so are probably not classes."""
        inner: dict[str, set[str]] = {}
        for name in files:
            outer, *deeper = name.split("/")[:-1]
            inner.setdefault(outer, set()).add(deeper[0] if deeper else "")
        shared = next(iter(inner.values()), set())
        if len(inner) < 2 or "" in shared or any(folders != shared for folders in inner.values()):
            return []
        value = f"{', '.join(sorted(inner))} hold {', '.join(sorted(shared))} each"
        remedy = "If those are the classes, name the splits train, val and test, or another root."
        return [Problem("warning", "every class holds the same folders", str(self.folder), "", value, remedy)]


@dataclass(frozen=True)
class ImageFolder:
    """Images without annotations, for autoencoding and prediction; they may be in subfolders.

    Args:
        folder: The folder.
    """

    folder: Path

    def sources(self) -> Sequence[Path]:
        """Return nothing: the folder listing is the annotation."""
        return []

    def parse(self) -> Parsed:
        """List the images."""
        files, problems = _images_among(self.folder, list_files(self.folder, None), "Name a folder of images.")
        index = build_index(self.folder, files, ())
        return Parsed(index, [*problems, *missing_files(index, str(self.folder))])


@dataclass(frozen=True)
class MaskFolders:
    """Images and their masks in parallel folders, with the same names except for their suffixes.

    The names of all masks may have the same additional ending, such as ``1_mask.png`` for ``1.jpg``.

    Args:
        root: Folder that contains both.
        images: Folder of the images, relative to ``root``.
        masks: Folder of the masks, relative to ``root``.
        class_names: Classes in the order of the values in the masks.
    """

    root: Path
    images: str
    masks: str
    class_names: tuple[str, ...]

    def sources(self) -> Sequence[Path]:
        """Return nothing: the folder listing is the annotation."""
        return []

    def parse(self) -> Parsed:
        """List both folders and pair their files."""
        pairs, problems = pair_files(self.root / self.images, self.root / self.masks, OF_CLASSES)
        index = build_index(
            self.root,
            [f"{self.images}/{name}" for name, _ in pairs],
            self.class_names,
            masks=[f"{self.masks}/{name}" for _, name in pairs],
        )
        return Parsed(index, [*problems, *missing_files(index, str(self.root))])


@dataclass(frozen=True)
class MaskList:
    """A list with an image and its mask in each line, as in CamVid.

    Args:
        file: The list. Each line has two names, separated by a tab or, if there is no tab, by spaces.
        root: Folder that the names are relative to.
        class_names: Classes in the order of the values in the masks.
    """

    file: Path
    root: Path
    class_names: tuple[str, ...]

    def sources(self) -> Sequence[Path]:
        """Return the list."""
        return [self.file]

    def parse(self) -> Parsed:
        """Read the list and find its files."""
        problems: list[Problem] = []
        pairs: dict[str, str] = {}
        try:
            lines = self.file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            lines = []
            remedy = "Name a text file in UTF-8."
            problems.append(Problem("error", "list cannot be read", str(self.file), "", str(error), remedy))
        for number, line in enumerate(lines, 1):
            names = re.split(r"\t+", line.strip()) if "\t" in line.strip() else line.split()
            kind, remedy = None, "Write image and mask, separated by a tab, relative to the root."
            if len(names) == 1:
                remedy += " Lists of images alone are given as lists={'train': ..., 'val': ...}."
            if len(names) != 2:
                kind = "line does not hold two names" if names else None
            elif names[0] in pairs:
                kind, remedy = "image is listed twice", "Remove the line."
            else:
                kind = unsafe_name(names[0]) or unsafe_name(names[1])
            if kind:
                problems.append(Problem("error", kind, str(self.file), f"line {number}", line.strip(), remedy))
            elif names:
                pairs[names[0]] = names[1]
        index = build_index(self.root, list(pairs), self.class_names, masks=list(pairs.values()))
        return Parsed(index, [*problems, *missing_files(index, str(self.file))])


def pair_files(folder: Path, mask_folder: Path, kinds: Sequence[str]) -> tuple[list[tuple[str, str]], list[Problem]]:
    """Pair images and masks in parallel folders, with the same names except for suffixes and one ending of all masks.

    Args:
        folder: Folder of the images.
        mask_folder: Folder of the masks.
        kinds: Parts of the endings of masks in lower case, the preferred first, where several masks go with an image.

    Returns:
        The names of an image and its mask each, and what is wrong.
    """
    files, problems = _images_among(folder, list_files(folder, None), "Name a folder of images.")
    masks: dict[str, str] = {}
    for name in list_files(mask_folder):
        if _stem(name) in masks:
            value, remedy = masks[_stem(name)], "Keep one of them."
            problems.append(Problem("error", "two masks of one name", str(mask_folder), name, value, remedy))
        masks[_stem(name)] = name
    pairs = [(name, masks.pop(_stem(name))) for name in files if _stem(name) in masks]
    paired = {name for name, _ in pairs}
    unpaired = [name for name in files if name not in paired]
    removed, ending, others = _endings([_stem(name) for name in unpaired], masks, kinds)
    for name in unpaired:
        mask = _stem(name).removesuffix(removed) + ending
        if mask in masks:
            pairs.append((name, masks.pop(mask)))
        else:
            remedy = (
                f"Put it into {mask_folder} under the name of the image, with or without an ending that all "
                "masks share (1_mask.png); or remove the image."
            )
            problems.append(Problem("error", "image without mask", str(folder), name, "", remedy))
    for other in others:
        left = [name for name in masks if name.endswith(other)]
        kind, remedy = "other masks of the images", f"They were left out; those that end in {ending!r} are read."
        problems.append(Problem("warning", kind, str(mask_folder), f"*{other}", _count(left), remedy))
        masks = {stem: name for stem, name in masks.items() if not stem.endswith(other)}
    pairs.sort()
    kind, remedy = "mask without image", "It was left out."
    problems += [Problem("warning", kind, str(mask_folder), name, "", remedy) for name in masks.values()]
    return pairs, problems


def subfolders(folder: Path) -> list[Path]:
    """List the subfolders of a folder, sorted, without litter."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not litter(path.name))


def _stem(name: str) -> str:
    """Remove the suffix, but keep the folders."""
    return name.rpartition(".")[0]


def _endings(images: Sequence[str], masks: Collection[str], kinds: Sequence[str]) -> tuple[str, str, list[str]]:
    """Find how the names of most masks follow from those of their images, as 1_mask from 1, or 1_labels from 1_image.

    Returns:
        The ending to remove from the stem of an image, the one to append, and other endings that the masks of most
        images have as well, such as those of masks in colour.
    """
    for removed in ["", *_shared_endings(images)]:
        stems = [image.removesuffix(removed) for image in images]
        counts = Counter(mask[len(stem) :] for stem in stems[:20] for mask in masks if mask.startswith(stem))
        matches = {ending: sum(stem + ending in masks for stem in stems) for ending in counts}
        usual = sorted(ending for ending, count in matches.items() if 2 * count > len(images))
        if usual:
            best = min(usual, key=lambda ending: (_rank(ending, kinds), -matches[ending]))
            return removed, best, [ending for ending in usual if ending != best]
    return "", "", []


def _shared_endings(stems: Sequence[str]) -> list[str]:
    """List the endings, from a separator on, that all names share, the shortest first."""
    first = stems[0].rpartition("/")[2] if stems else ""
    endings = [first[start:] for start in range(len(first) - 1, 0, -1) if first[start] in "_-."]
    return [ending for ending in endings if all(stem.endswith(ending) for stem in stems)]


def _rank(ending: str, kinds: Sequence[str]) -> int:
    """Order endings by how likely they are those that are meant: Cityscapes has four kinds of masks."""
    return next((rank for rank, name in enumerate(kinds) if name in ending.lower()), 4)


def _images_among(folder: Path, names: Sequence[str], remedy: str) -> tuple[list[str], list[Problem]]:
    """Select the images, and report other files, by their suffixes, that may be meant as images."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(suffix_of(name), []).append(name)
    images = sorted(name for suffix in IMAGE_SUFFIXES & set(groups) for name in groups[suffix])
    problems = [] if images else [Problem("error", "folder holds no images", str(folder), "", "", remedy)]
    kind, remedy = "files of a form that is not read", "They were left out; save images as PNG or JPEG."
    problems += [
        Problem("warning", kind, str(folder), suffix or "no suffix", _count(others), remedy)
        for suffix, others in sorted(groups.items())
        if suffix not in IMAGE_SUFFIXES | _BESIDE
    ]
    return images, problems


def _count(names: Sequence[str]) -> str:
    return f"{len(names)}, the first is {names[0]!r}"
