"""Data sets whose annotation is where the files lie: folders of classes, images alone, images and masks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from visiontasks.data.index.files import list_files, missing_files, unsafe_name
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import build_index, encode_labels


@dataclass(frozen=True)
class ClassFolders:
    """One folder per class; images may lie deeper inside.

    Args:
        folder: The folder that holds the folders of the classes.
        class_names: Classes in the order of the labels; None takes the names of the folders, sorted. Pass those of the
            training split to the others.
    """

    folder: Path
    class_names: tuple[str, ...] | None = None

    def sources(self) -> Sequence[Path]:
        """Nothing: the listing is the annotation."""
        return []

    def parse(self) -> Parsed:
        """List the folders."""
        files = [name for name in list_files(self.folder) if "/" in name]
        problems = [] if files else [_no_images(self.folder, "It holds one folder of images per class.")]
        names = [name.partition("/")[0] for name in files]
        class_names = self.class_names
        if class_names is None and self.folder.is_dir():
            hidden = (".", "__MACOSX")
            folders = [path.name for path in self.folder.iterdir() if path.is_dir()]
            class_names = tuple(sorted(name for name in folders if not name.startswith(hidden)))
        known, labels, found = encode_labels(names, class_names, lambda row: (str(self.folder), files[row]))
        empty = sorted(set(known) - set(names))
        kind, remedy = "class without images", "Remove the folder, or put images there."
        problems += [Problem("warning", kind, str(self.folder), name, "", remedy) for name in empty]
        keep = labels >= 0
        kept = [file for file, known_class in zip(files, keep, strict=True) if known_class]
        index = build_index(self.folder, kept, known, image_of=range(len(kept)), labels=labels[keep])
        return Parsed(index, [*problems, *found])


@dataclass(frozen=True)
class ImageFolder:
    """Images without annotations, for autoencoding and prediction; they may lie in folders inside.

    Args:
        folder: Where they lie.
    """

    folder: Path

    def sources(self) -> Sequence[Path]:
        """Nothing: the listing is the annotation."""
        return []

    def parse(self) -> Parsed:
        """List the images."""
        files = list_files(self.folder)
        problems = [] if files else [_no_images(self.folder, "Name a folder of images.")]
        return Parsed(build_index(self.folder, files, ()), problems)


@dataclass(frozen=True)
class MaskFolders:
    """Images and their masks in parallel folders, under the same names apart from their suffixes.

    Args:
        root: Folder that both are in.
        images: Folder of the images, relative to ``root``.
        masks: Folder of the masks, relative to ``root``.
        class_names: Classes in the order of the values in the masks.
    """

    root: Path
    images: str
    masks: str
    class_names: tuple[str, ...]

    def sources(self) -> Sequence[Path]:
        """Nothing: the listing is the annotation."""
        return []

    def parse(self) -> Parsed:
        """List both folders and pair their files."""
        folder, mask_folder = self.root / self.images, self.root / self.masks
        files = list_files(folder)
        problems = [] if files else [_no_images(folder, "Name a folder of images.")]
        masks: dict[str, str] = {}
        for name in list_files(mask_folder):
            if _stem(name) in masks:
                value, remedy = masks[_stem(name)], "Keep one of them."
                problems.append(Problem("error", "two masks of one name", str(mask_folder), name, value, remedy))
            masks[_stem(name)] = name
        for name in files:
            if _stem(name) not in masks:
                remedy = f"Put it into {mask_folder}, or remove the image."
                problems.append(Problem("error", "image without mask", str(folder), name, "", remedy))
        pairs = [(name, masks.pop(_stem(name))) for name in files if _stem(name) in masks]
        kind, remedy = "mask without image", "It was left out."
        problems += [Problem("warning", kind, str(mask_folder), name, "", remedy) for name in masks.values()]
        index = build_index(
            self.root,
            [f"{self.images}/{name}" for name, _ in pairs],
            self.class_names,
            masks=[f"{self.masks}/{name}" for _, name in pairs],
        )
        return Parsed(index, problems)


@dataclass(frozen=True)
class MaskList:
    """A list with an image and its mask in each line, as CamVid has them.

    Args:
        file: The list. Two names stand in a line, separated by a tab or, where they hold none, by spaces.
        root: Folder that the names are relative to.
        class_names: Classes in the order of the values in the masks.
    """

    file: Path
    root: Path
    class_names: tuple[str, ...]

    def sources(self) -> Sequence[Path]:
        """Name the list."""
        return [self.file]

    def parse(self) -> Parsed:
        """Read the list and look for its files."""
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


def _stem(name: str) -> str:
    """Leave out the suffix, but not the folders."""
    return name.rpartition(".")[0]


def _no_images(folder: Path, remedy: str) -> Problem:
    return Problem("error", "folder holds no images", str(folder), "", "", remedy)
