"""Rows of unequal length in flat arrays: values and offsets, and strings packed that way."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np
from jaxtyping import Int64, UInt8


def offsets_of(lengths: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows+1"]:
    """Convert the lengths of rows to offsets: row i has the values ``offsets[i]`` to ``offsets[i + 1]``.

    Example:
        >>> offsets_of(np.array([2, 0, 3]))
        array([0, 2, 2, 5])
    """
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def take_rows(
    offsets: Int64[np.ndarray, " bounds"], rows: Int64[np.ndarray, " taken"]
) -> tuple[Int64[np.ndarray, " values"], Int64[np.ndarray, " taken+1"]]:
    """Select rows.

    Args:
        offsets: Offsets of all rows.
        rows: The rows to take, in the order wanted.

    Returns:
        Positions of their values in the flat array, and the offsets of the rows taken.

    Example:
        >>> take_rows(np.array([0, 2, 2, 5]), np.array([2, 0]))
        (array([2, 3, 4, 0, 1]), array([0, 3, 5]))
    """
    starts = offsets[rows]
    taken = offsets_of(offsets[rows + 1] - starts)
    return np.arange(taken[-1]) + np.repeat(starts - taken[:-1], np.diff(taken)), taken


@dataclass(frozen=True, eq=False)
class PackedStrings:
    """Strings in one array of UTF-8 bytes, so that worker processes share them.

    A list of strings is copied into every worker as its reference counts change; this array is not. File names that are
    not valid UTF-8 keep their bytes (as surrogate escapes, like in :func:`os.fsdecode`).

    Attributes:
        blob: The bytes of all strings.
        offsets: String i is bytes ``offsets[i]`` to ``offsets[i + 1]``.

    Example:
        >>> names = PackedStrings.pack(["cat.jpg", "", "naïve 😀.png"])
        >>> len(names), names[2], list(names.take(np.array([2, 0])))
        (3, 'naïve 😀.png', ['naïve 😀.png', 'cat.jpg'])
    """

    blob: UInt8[np.ndarray, " bytes"]
    offsets: Int64[np.ndarray, " bounds"]

    @classmethod
    def pack(cls, strings: Iterable[str]) -> Self:
        """Pack strings, in their order."""
        encoded = [string.encode(errors="surrogateescape") for string in strings]
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        return cls(np.frombuffer(b"".join(encoded), np.uint8), offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, position: int) -> str:
        if not -len(self) <= position < len(self):
            message = f"string {position} of {len(self)}"
            raise IndexError(message)
        position %= len(self)
        return _decode(self.blob[self.offsets[position] : self.offsets[position + 1]].tobytes())

    def __iter__(self) -> Iterator[str]:
        data = self.blob.tobytes()
        return (_decode(data[start:end]) for start, end in pairwise(self.offsets.tolist()))

    def take(self, rows: Int64[np.ndarray, " taken"]) -> Self:
        """Select strings by position."""
        positions, offsets = take_rows(self.offsets, rows)
        return type(self)(self.blob[positions], offsets)


def _decode(data: bytes) -> str:
    return data.decode(errors="surrogateescape")
