"""PASCAL VOC format: one XML file per image, in a devkit or beside the images.

The PASCAL Visual Object Classes Challenge, IJCV 2010; development kit of 2012, section 4.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Literal
from unicodedata import normalize

import numpy as np

from visiontasks.data.index.boxes import clean_boxes
from visiontasks.data.index.file_names import IMAGE_SUFFIXES, list_files, litter, missing_files, suffix_of, unsafe_name
from visiontasks.data.index.joining import join_indexes
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import AnnotationSource, build_index, encode_labels, ignored_objects
from visiontasks.data.index.voc_xml import VocAnnotation, read_annotations

_FLAG = re.compile(r"\s+(-1|0|1)$")
"""What a line of a class's list ends in: whether the image holds the class."""


@dataclass(frozen=True)
class VocDevkit:
    """One split of a devkit: ``JPEGImages``, ``Annotations``, ``ImageSets`` and ``SegmentationClass``.

    A line of the list is the stem of an image and its XML file, preceded by their subfolder, if any. It may end in the
    suffix of the image, or in the flag that VOC's lists of a class have (-1, 0 or 1), which is not used: all images of
    the list are taken, with all of their objects.

    Args:
        folder: The folder that contains these, for example ``VOCdevkit/VOC2012``.
        image_set: Name of a list in ``ImageSets``, without its suffix.
        kind: Folder of the list. ``Main`` needs an XML file for each image, ``Segmentation`` a mask file.
        class_names: Classes in the order of the labels; None takes the names in all files of ``Annotations``, sorted,
            so that all splits agree.
    """

    folder: Path
    image_set: str
    kind: Literal["Main", "Segmentation"] = "Main"
    class_names: tuple[str, ...] | None = None

    def sources(self) -> Sequence[Path]:
        """Return the list and the XML files."""
        return [self._list_file, *self._annotation_files(self._stems([])).values()]

    def parse(self) -> Parsed:
        """Read the list and the XML files, and find images and masks."""
        problems: list[Problem] = []
        stems = self._stems(problems)
        files = self._annotation_files(stems)
        annotations = dict(zip(files, read_annotations([*files.values()]), strict=True))
        class_names = self.class_names
        if class_names is None:
            found = {entry.name for annotation in annotations.values() for entry in annotation.objects}
            class_names = tuple(sorted(found))
        if self.kind == "Main":
            for stem in stems:
                if stem not in annotations:
                    file = str(self.folder / "Annotations" / f"{stem}.xml")
                    remedy = f"Put it there, or take {stem!r} out of the list."
                    problems.append(
                        Problem("error", "annotation file is missing", str(self._list_file), stem, file, remedy)
                    )
        masks = [f"SegmentationClass/{stem}.png" for stem in stems] if self.kind == "Segmentation" else None
        chosen = {stem: annotations.get(stem, VocAnnotation("", (0, 0), [], [])) for stem in stems}
        return _assemble(self.folder, "JPEGImages", "Annotations", chosen, class_names, masks, problems)

    @property
    def _list_file(self) -> Path:
        return self.folder / "ImageSets" / self.kind / f"{self.image_set}.txt"

    def _stems(self, problems: list[Problem]) -> list[str]:
        """Read the list; a line is one stem, which may contain spaces."""
        file = self._list_file
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, ValueError) as error:
            lists = sorted(path.stem for path in file.parent.glob("*.txt"))
            remedy = f"Lists there: {', '.join(lists)}." if lists else "Name the folder that holds ImageSets."
            problems.append(Problem("error", "list cannot be read", str(file), "", str(error), remedy))
            return []
        stems: dict[str, None] = {}
        for number, (line, stem) in enumerate(zip(lines, self._listed(lines), strict=True), 1):
            kind = unsafe_name(stem) if stem else None
            if stem in stems:
                kind = "image is listed twice"
            if kind:
                problems.append(Problem("error", kind, str(file), f"line {number}", repr(line), "Correct the list."))
            elif stem:
                stems[stem] = None
        return list(stems)

    def _listed(self, lines: Sequence[str]) -> list[str]:
        """Return the stem that each line names: the line itself where there is such a file, otherwise a part of it."""
        if not any(_FLAG.search(line) or suffix_of(line) in IMAGE_SUFFIXES for line in lines):
            return list(lines)
        known = {*self._xml_files()}
        known |= {name.removesuffix(suffix_of(name)) for name in list_files(self.folder / "JPEGImages")}
        stems = []
        for line in lines:
            flagless = _FLAG.sub("", line)
            forms = [line, flagless, *(name[: -len(suffix_of(name)) or None] for name in (line, flagless))]
            stems.append(next((form for form in forms if form in known), flagless))
        return stems

    def _xml_files(self) -> dict[str, Path]:
        """List the XML files, by stem."""
        folder = self.folder / "Annotations"
        return {name[: -len(".xml")]: folder / name for name in list_files(folder, frozenset({".xml"}))}

    def _annotation_files(self, stems: Sequence[str]) -> dict[str, Path]:
        """Find the XML files to read, by stem: all if they determine the classes, otherwise those of the split."""
        files = self._xml_files()
        return {stem: files[stem] for stem in (files if self.class_names is None else stems) if stem in files}


@dataclass(frozen=True)
class VocDevkits:
    """Splits of several devkits joined into one, such as those of 2007 and 2012.

    Args:
        parts: The splits; their devkits are in one folder, and their ``class_names`` are the same.
    """

    parts: tuple[AnnotationSource, ...]

    def sources(self) -> Sequence[Path]:
        """Return the lists and the XML files."""
        return [file for part in self.parts for file in part.sources()]

    def parse(self) -> Parsed:
        """Read all of them."""
        parsed = [part.parse() for part in self.parts]
        index = join_indexes([found.index for found in parsed])
        return Parsed(index, [problem for found in parsed for problem in found.problems])


@dataclass(frozen=True)
class VocFolder:
    """A folder of images, each with an XML file beside it or in another folder, as written by labelImg.

    Images without an XML file are left out, with a warning: they may be empty or simply not annotated.

    Args:
        folder: The folder.
        class_names: Classes in the order of the labels; None takes the names that occur, sorted.
        images: Subfolder of the images, "" for none.
        annotations: Subfolder of the XML files, "" for none.
    """

    folder: Path
    class_names: tuple[str, ...] | None = None
    images: str = ""
    annotations: str = ""

    def sources(self) -> Sequence[Path]:
        """Return the XML files."""
        folder = self.folder / self.annotations
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.iterdir() if path.suffix.lower() == ".xml" and not litter(path.name))

    def parse(self) -> Parsed:
        """Read all XML files and find their images."""
        files = self.sources()
        annotations = dict(zip((file.stem for file in files), read_annotations(files), strict=True))
        problems = []
        if not annotations:
            remedy = "Name a folder that holds images and their XML files."
            problems.append(
                Problem("error", "folder holds no XML file", str(self.folder / self.annotations), "", "", remedy)
            )
        kind, remedy = "image without annotation file", "It was left out."
        stems = {normalize("NFC", stem) for stem in annotations}
        listing = _list_images(self.folder / self.images, [""])
        for name in sorted({name for names in listing.values() for name in names}):
            if not {normalize("NFC", form) for form in (name, name.rpartition(".")[0])} & stems:
                problems.append(Problem("warning", kind, str(self.folder / self.images), name, "", remedy))
        return _assemble(self.folder, self.images, self.annotations, annotations, self.class_names, None, problems)


def _assemble(
    root: Path,
    image_folder: str,
    annotation_folder: str,
    annotations: dict[str, VocAnnotation],
    class_names: Sequence[str] | None,
    masks: Sequence[str] | None,
    problems: list[Problem],
) -> Parsed:
    """Pack the annotations of images, by stem."""
    listing = _list_images(root / image_folder, annotations)
    problems += [problem for annotation in annotations.values() for problem in annotation.problems]
    # What cannot be read may not be the annotation of an image at all.
    if masks is None:
        unread = {stem for stem, entry in annotations.items() if entry.problems and not entry.objects}
        gone = {stem for stem in unread if normalize("NFC", stem) not in listing}
        annotations = {stem: entry for stem, entry in annotations.items() if stem not in gone}
    files = []
    for stem, annotation in annotations.items():
        names = listing.get(normalize("NFC", stem), [f"{stem}.jpg"])
        # The name in a file may be that of the image before it was renamed: the stem decides.
        stated = PureWindowsPath(annotation.file_name).name  # of both kinds of slashes
        name = next((name for name in names if PurePosixPath(name).name == stated), names[0])
        files.append(f"{image_folder}/{name}" if image_folder else name)
    objects = [(image, entry) for image, found in enumerate(annotations.values()) for entry in found.objects]
    image_of = np.array([image for image, _ in objects], np.int64)
    stems = list(annotations)

    def place(row: int) -> tuple[str, str]:
        image, entry = objects[row]
        return str(root / annotation_folder / f"{stems[image]}.xml"), entry.record

    names_known, labels, found = encode_labels([entry.name for _, entry in objects], class_names, place)
    problems += found
    sizes = np.array([annotation.size for annotation in annotations.values()], np.int32).reshape(-1, 2)
    values = np.array([entry.box for _, entry in objects], np.float64).reshape(-1, 4)
    boxes, keep, found = clean_boxes(values, sizes[image_of], "voc", str(root), place)
    problems += found
    keep &= labels >= 0
    index = build_index(
        root,
        files,
        names_known,
        image_of=image_of[keep],
        labels=labels[keep],
        boxes=boxes[keep],
        ignore=np.array([entry.difficult for _, entry in objects], np.bool_)[keep],
        sizes=sizes,
        image_ids=stems,
        masks=masks,
    )
    problems += ignored_objects(index, str(root / annotation_folder), "difficult=1") if masks is None else []
    return Parsed(index, [*problems, *missing_files(index, str(root))])


def _list_images(folder: Path, stems: Iterable[str]) -> dict[str, list[str]]:
    """List the image files in the folders of the stems, by stem and by name; a stem may have several suffixes."""
    listing: dict[str, list[str]] = {}
    for parent in {stem.rpartition("/")[0] for stem in stems}:
        place = PurePosixPath(parent)
        for path in sorted((folder / parent).iterdir()) if (folder / parent).is_dir() else ():
            if path.suffix.lower() in IMAGE_SUFFIXES and not litter(path.name):
                for key in (path.stem, path.name):
                    listing.setdefault(normalize("NFC", str(place / key)), []).append(str(place / path.name))
    return listing
