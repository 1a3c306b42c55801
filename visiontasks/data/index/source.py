"""Interface of annotation parsers, and the last step that all of them share."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable
from unicodedata import normalize

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from visiontasks.data.index.packed import ImageIndex, pack_identifiers
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.ragged import PackedStrings, offsets_of
from visiontasks.errors import near_matches

_MOST = 0.9
"""Fraction of the objects that may be ignored without a warning."""


@runtime_checkable
class AnnotationSource(Protocol):
    """Annotations in some format.

    Every source is a frozen dataclass whose fields define what is parsed and how; its ``repr`` identifies the result.
    """

    def sources(self) -> Sequence[Path]:
        """List the annotation files that the result depends on; none if only folders are listed."""

    def parse(self) -> Parsed:
        """Read all annotations. Their problems are returned, not raised."""


def build_index(
    root: Path,
    files: Sequence[str],
    class_names: Sequence[str],
    *,
    image_of: Sequence[int] | Int64[np.ndarray, " objects"] = (),
    labels: Sequence[int] | Int64[np.ndarray, " objects"] = (),
    boxes: Float64[np.ndarray, "objects 4"] | None = None,
    ignore: Sequence[bool] | Bool[np.ndarray, " objects"] | None = None,
    sizes: Int32[np.ndarray, "images 2"] | None = None,
    image_ids: Sequence[int | str] | None = None,
    masks: Sequence[str] | None = None,
) -> ImageIndex:
    """Pack images and objects listed in any order; the objects of an image keep their order.

    Args:
        root: Folder that the files are relative to.
        files: Image files.
        class_names: Names of the classes in the order of the labels.
        image_of: Image of each object.
        labels: Class of each object.
        boxes: Box of each object, xyxy in pixels.
        ignore: Objects that evaluation ignores; by default none.
        sizes: (height, width) of each image; by default unknown.
        image_ids: Names of the images; by default their positions.
        masks: Mask file of each image.
    """
    images = np.asarray(image_of, np.int64)
    order = np.argsort(images, kind="stable")
    flags = np.zeros(len(images), np.bool_) if ignore is None else np.asarray(ignore, np.bool_)
    return ImageIndex(
        root=root,
        files=PackedStrings.pack(files),
        image_ids=np.arange(len(files)) if image_ids is None else pack_identifiers(image_ids),
        sizes=np.zeros((len(files), 2), np.int32) if sizes is None else sizes,
        class_names=tuple(class_names),
        category_ids=np.arange(len(class_names)),
        offsets=offsets_of(np.bincount(images, minlength=len(files))),
        labels=np.asarray(labels, np.int32)[order],
        boxes=None if boxes is None else boxes[order],
        ignore=flags[order],
        masks=None if masks is None else PackedStrings.pack(masks),
    )


def ignored_objects(index: ImageIndex, source: str, flag: str) -> list[Problem]:
    """Warn if nearly all objects are marked as ignored, so that there is nothing to learn.

    Args:
        index: The index.
        source: The annotations.
        flag: Name of the mark in the annotations.
    """
    ignored, count = int(index.ignore.sum()), len(index.ignore)
    if ignored <= _MOST * count:
        return []
    remedy = f"Training and evaluation ignore them: write {flag[:-1]}0 for those that are to be learnt."
    return [Problem("warning", f"nearly all objects have {flag}", source, "", f"{ignored} of {count}", remedy)]


def encode_labels(
    names: Sequence[str], class_names: Sequence[str] | None, place: Callable[[int], tuple[str, str]]
) -> tuple[tuple[str, ...], Int64[np.ndarray, " objects"], list[Problem]]:
    """Convert the class names of objects to labels; accents that are written as other code points are the same.

    Args:
        names: Class of each object.
        class_names: All classes in the order of the labels; None takes the names that occur, sorted.
        place: Returns the file and record of an object.

    Returns:
        The class names, the label of each object (-1 for an unknown class), and one error for each unknown class.
    """
    names = [name if name.isascii() else normalize("NFC", name) for name in names]
    known = tuple(sorted(set(names)) if class_names is None else (normalize("NFC", name) for name in class_names))
    label_of = {name: label for label, name in enumerate(known)}
    labels = np.array([label_of.get(name, -1) for name in names], np.int64)
    problems = [
        Problem("error", "unknown class", *place(row), repr(names[row]), near_matches(names[row], known))
        for row in np.flatnonzero(labels < 0).tolist()
    ]
    return known, labels, problems
