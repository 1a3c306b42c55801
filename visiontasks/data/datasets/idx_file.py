"""The IDX file format: two zero bytes, a type code, the number of dimensions, their sizes, and the values.

Sizes are big-endian 32-bit integers; values are in row-major order and big-endian.
"""

import gzip
import math
import struct
import zlib
from contextlib import nullcontext
from io import BufferedReader
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from visiontasks.errors import DataError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MAX_DIMENSIONS = 32
_DEFLATE_RATIO = 1032
"""Maximum expansion of a gzip file; it reveals an absurd header before memory is allocated."""
_CHUNK = 1 << 20


def read_idx(path: str | Path) -> Shaped[np.ndarray, "..."]:
    """Read an IDX file, plain or compressed by gzip (detected by content, not by name).

    Args:
        path: The file.

    Returns:
        The array, in the byte order of this machine.

    Raises:
        DataError: The file is missing, empty or damaged, or does not match its header.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "labels")
        ...     _ = file.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))
        ...     read_idx(file)
        array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            compressed = raw.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=raw) if compressed else nullcontext(raw) as file:
                array = _read_array(file, path, size * (_DEFLATE_RATIO if compressed else 1))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _damaged(path, f"is a truncated or damaged gzip file of {size} bytes ({error})") from error
    except OSError as error:
        message = f"{path} cannot be read: {error}."
        raise DataError(message) from error
    return array if array.dtype.isnative else array.byteswap(inplace=True).view(array.dtype.newbyteorder())


def _read_array(file: BufferedReader | gzip.GzipFile, path: Path, capacity: int) -> Shaped[np.ndarray, "..."]:
    """Read header and values; ``capacity`` is an upper bound of the number of bytes in the file."""
    magic = file.read(4)
    if not magic:
        raise _damaged(path, "is empty")
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES or not 1 <= magic[3] <= _MAX_DIMENSIONS:
        codes = ", ".join(f"{code:02x}" for code in _DTYPES)
        defect = f"begins with the bytes {magic.hex(' ')}; an IDX file begins with 00 00, one of {codes}, and 01 to 20"
        raise _damaged(path, defect)
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise _damaged(path, f"ends within its header of {4 + 4 * magic[3]} bytes")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    dtype = np.dtype(_DTYPES[magic[2]])
    expected = math.prod(shape) * dtype.itemsize
    promise = f"the {expected} bytes of values that its header promises (shape {list(shape)}, {dtype.name})"
    if expected > capacity:
        raise _damaged(path, f"is too small for {promise}")
    try:
        array = np.empty(shape, dtype)
    except (MemoryError, ValueError) as error:
        raise _damaged(path, f"has no room in memory for {promise}") from error
    values = array.reshape(-1).view(np.uint8).data
    filled = 0
    while filled < expected and (count := file.readinto(values[filled : filled + _CHUNK])):
        filled += count
    if filled < expected:
        raise _damaged(path, f"ends after {filled} of {promise}")
    if file.read(1):  # reading to the end also has gzip check its own checksum
        raise _damaged(path, f"goes on after {promise}")
    return array


def _damaged(path: Path, defect: str) -> DataError:
    return DataError(f"{path} {defect}. Delete the file and get it again: with download=True, or from its source.")
