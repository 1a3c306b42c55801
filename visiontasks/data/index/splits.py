"""Splits of an index: by a list, or at random by fractions."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Int64

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.errors import ArgumentError

SPLIT_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""Usual names of folders, files and rows of a split, in lower case."""


def split_of(name: str) -> str | None:
    """Return the split that a name denotes, in any case; None if it denotes none.

    Example:
        >>> split_of("Valid")
        'val'
    """
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def split_by_fractions(index: ImageIndex, fractions: Sequence[float], seed: int = 0) -> tuple[ImageIndex, ...]:
    """Split the images at random.

    If every image has exactly one object, or objects of one class, each split gets its fraction of each class. Each
    gets at least one image if there are as many images as splits. The split of an image depends on the seed, the names
    of all files below the folder that holds them all, and the names of the classes only: not on the process, the
    platform, the form of the annotations or the order of the index.

    Args:
        index: All images.
        fractions: Fraction of each split; they sum to 1, for example (0.8, 0.1, 0.1).
        seed: Seed of the splits.

    Returns:
        The splits; images keep their order.

    Raises:
        ArgumentError: A fraction is negative, or they do not sum to 1.
    """
    shares = np.asarray(fractions, np.float64)
    if not (shares.size and (shares >= 0).all() and abs(shares.sum() - 1) < 1e-6):
        message = (
            f"fractions is {list(fractions)}; expected numbers of at least 0 that sum to 1, as in (0.8, 0.1, 0.1)."
        )
        raise ArgumentError(message)
    order = np.array(sorted(range(len(index)), key=_drawn_keys(index, seed).__getitem__), np.int64)
    strata = _strata(index)[order]
    split_of = np.empty(len(index), np.int64)
    given = np.zeros(len(shares), np.int64)
    seen = 0
    for stratum in np.unique(strata):
        members = order[strata == stratum]
        seen += len(members)
        counts = np.floor(shares * len(members) + 1e-9).astype(np.int64)
        # Remaining images go to the split that is furthest below its fraction over all classes so far.
        for _ in range(len(members) - counts.sum()):
            counts[np.argmax(np.round(shares * seen - given - counts, 9))] += 1
        given += counts
        split_of[members] = np.repeat(np.arange(len(shares)), counts)
    if len(index) >= len(shares):
        # Of few images, one each for the splits that would have none.
        for split in np.flatnonzero((np.bincount(split_of, minlength=len(shares)) == 0) & (shares > 0)).tolist():
            largest = np.bincount(split_of, minlength=len(shares)).argmax()
            split_of[order[split_of[order] == largest][-1]] = split
    return tuple(index.subset(np.flatnonzero(split_of == split)) for split in range(len(shares)))


def split_by_list(index: ImageIndex, file: Path) -> Parsed:
    """Select the images named in a list, in its order.

    Args:
        index: All images.
        file: A text file in UTF-8 with one name per line: as in the index, or without suffix or folders if that is
            unambiguous.
    """
    # A full name takes precedence over a shortened one.
    forms: tuple[dict[str, list[int]], ...] = ({}, {}, {}, {})
    for position, name in enumerate(index.files):
        path = PurePosixPath(name)
        for named, form in zip(forms, (name, name.removesuffix(path.suffix), path.name, path.stem), strict=True):
            named.setdefault(form, []).append(position)
    problems: list[Problem] = []
    chosen: dict[int, None] = {}
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        lines = []
        remedy = "Name a text file in UTF-8, relative to the root or to the working folder."
        problems.append(Problem("error", "list cannot be read", str(file), "", str(error), remedy))
    for number, name in enumerate(map(str.strip, lines), 1):
        matches = next((named[name] for named in forms if name in named), [])
        kind = "listed image is not in the data set" if not matches else "name fits several images"
        if name and len(matches) == 1:
            kind = "image is listed twice" if matches[0] in chosen else ""
            chosen[matches[0]] = None
        if name and kind:
            remedy = "Write the file's name relative to the folder of the images, once."
            problems.append(Problem("error", kind, str(file), f"line {number}", repr(name), remedy))
    return Parsed(index.subset(list(chosen)), problems)


def _drawn_keys(index: ImageIndex, seed: int) -> list[tuple[bytes, int]]:
    """Draw a number for each image from its name; the position breaks ties."""
    salt, names = str(seed).encode(), list(index.files)
    folders = {name.rpartition("/")[0] for name in names}
    common = len(os.path.commonpath(folders)) if folders and "" not in folders else 0
    below = (name[common + 1 if common else 0 :].encode(errors="surrogateescape") for name in names)
    return [
        (hashlib.blake2b(name, digest_size=16, key=salt[:64]).digest(), position) for position, name in enumerate(below)
    ]


def _strata(index: ImageIndex) -> Int64[np.ndarray, " images"]:
    """Return the class of each image, or one class for all if an image may have several or none."""
    lengths = np.diff(index.offsets)
    if len(index) and lengths.all():
        first = index.labels[index.offsets[:-1]].astype(np.int64)
        if (np.repeat(first, lengths) == index.labels).all():
            # Forms may have their classes in different orders.
            rank: Int64[np.ndarray, " classes"] = np.argsort(np.argsort(np.array(index.class_names)))
            strata: Int64[np.ndarray, " images"] = rank[first]
            return strata
    return np.zeros(len(index), np.int64)
