"""Files of proposals: boxes that may contain objects, for every image of a data set.

There are two files side by side. ``NAME.npy`` is a NumPy array of float32, shape [images, P, 4]: boxes x1, y1, x2, y2
in pixels of the original image, the most likely first, padded with zeros; NaN for an image that is not processed yet.
It is memory-mapped. ``NAME.json`` contains ``images``, the name of each image (see :func:`image_names`), and
``method``, how the boxes were computed.
"""

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Float32, Float64, Int64

from visiontasks.errors import DataError
from visiontasks.files import replacing, write_atomically


def image_names(files: Sequence[PurePath]) -> list[str]:
    """Name images by folder and file name, independent of where the data set is, with more folders if needed.

    Args:
        files: The image files, all different.

    Example:
        >>> image_names([PurePath("/data/VOC2012/JPEGImages/2007_000027.jpg")])
        ['JPEGImages/2007_000027.jpg']
        >>> image_names([PurePath("/data/a/images/1.jpg"), PurePath("/data/b/images/1.jpg")])
        ['a/images/1.jpg', 'b/images/1.jpg']
    """
    longest = max((len(file.parts) for file in files), default=0)
    for parts in range(2, longest):
        names = [_name(file, parts) for file in files]
        if len(set(names)) == len(names):
            return names
    return [_name(file, max(2, longest)) for file in files]


def _name(file: str | PurePath, parts: int) -> str:
    return "/".join(PurePath(file).parts[-parts:])


class ProposalFile:
    """Proposals by the names of images.

    Args:
        path: The array, or its path without suffix.
        mode: ``"r"`` to read it, ``"r+"`` to write into it.

    Raises:
        DataError: If a file is missing, or the two do not belong together.
    """

    def __init__(self, path: str | Path, mode: Literal["r", "r+"] = "r") -> None:
        self.path = Path(path).with_suffix(".npy")
        try:
            description = json.loads(self.path.with_suffix(".json").read_text())
            self.array: Float32[np.ndarray, "images proposals 4"] = np.load(self.path, mmap_mode=mode)
            self.images: list[str] = description["images"]
            self.method: dict[str, Any] = description["method"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = (
                f"{str(self.path)!r} and the .json file beside it are not a file of proposals ({type(error).__name__}: "
                f"{error}). Make one with visiontasks propose."
            )
            raise DataError(message) from error
        if self.array.ndim != 3 or self.array.shape[::2] != (len(self.images), 4):
            message = (
                f"{str(self.path)!r} has shape {self.array.shape} for {len(self.images)} images; expected [images, "
                "proposals, 4]. The files do not belong together."
            )
            raise DataError(message)
        self._rows = {name: row for row, name in enumerate(self.images)}
        self._parts = max((len(PurePath(name).parts) for name in self.images), default=2)

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        # A worker maps the same file instead of receiving a copy.
        return type(self), (self.path,)

    @classmethod
    def create(cls, path: str | Path, images: Sequence[str], count: int, method: dict[str, Any]) -> Self:
        """Create a file without proposals; an existing file for the same images and method is continued.

        Args:
            path: The array.
            images: Names of the images.
            count: Maximum number of proposals of an image.
            method: How the proposals are computed, in plain types.

        Raises:
            DataError: If there is a file for other images, another number of proposals or another method.
        """
        path = Path(path).with_suffix(".npy")
        if path.exists():
            existing = cls(path, "r+")
            if existing.images != list(images) or existing.array.shape[1] != count or existing.method != method:
                message = f"{str(path)!r} holds proposals of other images, or made in another way. Name another file."
                raise DataError(message)
            return existing
        # The array gets its name last: even after an interruption, an array of that name is complete and described.
        # Its room on the disk is taken now: writing to mapped memory that finds none would kill the process.
        with replacing(path, keep=True) as part:
            with part.open("wb") as stream:
                shape, dtype = (len(images), count, 4), np.dtype(np.float32)
                header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                for _ in images:
                    stream.write(np.full(shape[1:], np.nan, dtype).tobytes())
            write_atomically(path.with_suffix(".json"), json.dumps({"images": list(images), "method": method}))
        return cls(path, "r+")

    def missing(self) -> list[int]:
        """List the rows of the images that are not processed yet."""
        return np.flatnonzero(np.isnan(self.array[:, :1]).any((1, 2))).tolist()

    def write(self, row: int, boxes: Float64[np.ndarray, "found 4"]) -> None:
        """Write the proposals of an image; those beyond the maximum number are dropped."""
        full = np.zeros(self.array.shape[1:], np.float32)
        full[: len(boxes)] = boxes[: len(full)]
        self.array[row] = full

    def rows(self, images: Sequence[str | PurePath]) -> Int64[np.ndarray, " images"]:
        """Find the rows of images.

        Args:
            images: Their files, in any location, or their names.

        Raises:
            DataError: If an image is not in the file or not processed yet.
        """
        names = [_name(image, self._parts) for image in images]
        unknown = [name for name in names if name not in self._rows]
        rows = np.array([self._rows[name] for name in names if name in self._rows], np.int64)
        undone = [self.images[row] for row in np.intersect1d(rows, self.missing())]
        if unknown or undone:
            what, lacking = ("not in", unknown) if unknown else ("not done in", undone)
            message = (
                f"{len(lacking)} of {len(images)} images are {what} {str(self.path)!r}, such as "
                f"{', '.join(lacking[:3])}. "
                "Run visiontasks propose on the same data."
            )
            raise DataError(message)
        return rows

    def boxes(self, row: int) -> Float64[np.ndarray, "found 4"]:
        """Return the proposals of an image, without padding."""
        boxes: Float64[np.ndarray, "found 4"] = np.asarray(self.array[row], np.float64)
        return boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
