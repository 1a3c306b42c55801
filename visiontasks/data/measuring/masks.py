"""What the mask files of a data set say about one another."""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from visiontasks.data.datasets.tasks import SegmentationDataset
from visiontasks.data.images.mask_reading import read_palette
from visiontasks.data.index.problems import Problem
from visiontasks.errors import DataError, UnreadableFileError
from visiontasks.types import IGNORED

_FIRST = 16
_SHOWN = 3


class Palettes:
    """The colours of the values in masks, which must be the same in all files.

    A tool that reduces the colours of each file by itself numbers them anew in each, so that a value is another class
    in every file.
    """

    def __init__(self) -> None:
        self.colours: dict[int, tuple[tuple[int, ...], str]] = {}
        self.conflicts: dict[int, str] = {}

    def add(
        self, palette: UInt8[np.ndarray, "entries 3"] | None, counts: Int64[np.ndarray, " values"], file: str
    ) -> None:
        """Compare a mask with the ones before it.

        Args:
            palette: Colour of each value; None if the file has no colours.
            counts: Number of pixels of each value.
            file: The file.
        """
        for value in [] if palette is None else np.flatnonzero(counts[:IGNORED]).tolist():
            if palette is None or value >= len(palette):
                continue
            colour = tuple(palette[value].tolist())
            first, other = self.colours.setdefault(value, (colour, file))
            if first != colour:
                self.conflicts.setdefault(value, f"{value} is {first} in {other!r} and {colour} in {file!r}")

    def problems(self, root: str) -> list[Problem]:
        """Return one error if the palettes contradict one another.

        Args:
            root: Folder of the data set.
        """
        if not self.conflicts:
            return []
        remedy = (
            "The values were numbered anew in each file, as tools do that reduce colours: export the masks again with "
            "one palette for all."
        )
        value = "; ".join(list(self.conflicts.values())[:_SHOWN])
        return [Problem("error", "palettes of masks contradict one another", root, "", value, remedy)]


def first_masks(dataset: SegmentationDataset, split: str) -> list[Problem]:
    """Read some of the masks, evenly spaced, so that what is wrong with all of them is known before training.

    Args:
        dataset: The images and masks of a split.
        split: Its name.
    """
    masks, palettes = dataset.index.masks, Palettes()
    problems: list[Problem] = []
    if masks is None:
        return []
    for image in np.unique(np.linspace(0, len(dataset) - 1, min(len(dataset), _FIRST)).astype(int)).tolist():
        file = Path(dataset.index.root) / masks[image]
        if not file.is_file() or not dataset.index.file(image).is_file():  # reported as missing
            continue
        try:
            counts = np.bincount(dataset.mask(image).ravel(), minlength=IGNORED + 1)
            palettes.add(read_palette(file), counts, str(file))
        except DataError as error:
            if problems or (dataset.on_error != "raise" and isinstance(error, UnreadableFileError)):
                continue
            remedy = "visiontasks check reads all masks."
            problems.append(Problem("error", "mask cannot be used", str(file), split, str(error), remedy))
    return [*problems, *palettes.problems(str(dataset.index.root))]
