import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

from tests.data.datasets.idx_writer import CODES, encode
from visiontasks.data.datasets.idx_file import read_idx
from visiontasks.errors import DataError


def some_values(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("shape", [(7,), (3, 5), (4, 3, 2)])
def test_every_type_as_torchvision_reads_it(tmp_path: Path, name: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape) * 1000
    array = values.astype(np.int64).astype(name) if "int" in name else values.astype(name)
    path = tmp_path / "array"
    path.write_bytes(encode(array))
    found = read_idx(path)
    assert found.dtype == np.dtype(name)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    assert torch.equal(torch.from_numpy(found), read_sn3_pascalvincent_tensor(str(path)))


@pytest.mark.parametrize("name", ["array", "array.gz"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (0, 28, 28), (3, 1024, 1024)])
def test_compression_is_seen_in_the_content(
    tmp_path: Path, name: str, compressed: bool, shape: tuple[int, ...]
) -> None:
    array = some_values(*shape)
    (tmp_path / name).write_bytes(gzip.compress(encode(array), 1) if compressed else encode(array))
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)


CONTENT = encode(some_values(10, 28, 28))
PACKED = gzip.compress(CONTENT)
BAD_FILES = {
    "empty": (b"", "is empty"),
    "empty inside gzip": (gzip.compress(b""), "is empty"),
    "web page": (b"<!DOCTYPE html>", "begins with the bytes 3c 21 44 4f; an IDX file begins with 00 00"),
    "web page inside gzip": (gzip.compress(b"<!DOCTYPE html>"), "begins with the bytes 3c 21 44 4f"),
    "unknown type": (b"\0\0\x0a\1\0\0\0\0", "begins with the bytes 00 00 0a 01"),
    "no dimensions": (b"\0\0\x08\0", "begins with the bytes 00 00 08 00"),
    "too many dimensions": (b"\0\0\x08\x21" + bytes(200), "begins with the bytes 00 00 08 21"),
    "three bytes": (CONTENT[:3], "begins with the bytes 00 00 08; "),
    "half a header": (CONTENT[:9], "ends within its header of 16 bytes"),
    "short": (CONTENT[:-1], "ends after 7839 of the 7840 bytes of values that its header promises (shape [10, 28, 28]"),
    "much too short": (CONTENT[:100], "is too small for the 7840 bytes"),
    "short inside gzip": (gzip.compress(CONTENT[:-1]), "ends after 7839 of the 7840 bytes"),
    "long": (CONTENT + b"\0", "goes on after the 7840 bytes"),
    "long inside gzip": (gzip.compress(CONTENT + b"\0"), "goes on after the 7840 bytes"),
    "truncated gzip": (PACKED[:-100], "is a truncated or damaged gzip file"),
    "truncated gzip checksum": (PACKED[:-1], "is a truncated or damaged gzip file"),
    "gzip header only": (PACKED[:5], "is a truncated or damaged gzip file"),
    "wrong gzip checksum": (PACKED[:-5] + b"\0" + PACKED[-4:], "is a truncated or damaged gzip file"),
    "damaged gzip": (PACKED[:4000] + bytes(8) + PACKED[4008:], "is a truncated or damaged gzip file"),
    "damaged gzip blocks": (PACKED[:10] + b"\xff" + PACKED[11:], "is a truncated or damaged gzip file"),
    "absurd header": (b"\0\0\x08\3" + b"\xff" * 12, "is too small for the"),
    "absurd header inside gzip": (gzip.compress(b"\0\0\x08\3" + b"\xff" * 12), "is too small for the"),
    "absurd empty header": (b"\0\0\x08\4\0\0\0\0" + b"\xff" * 12, "has no room in memory for the 0 bytes"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_is_named_with_cause_and_remedy(tmp_path: Path, case: str) -> None:
    content, expected = BAD_FILES[case]
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(f"{path} {expected}")) as caught:
        read_idx(path)
    assert "Delete the file and get it again" in str(caught.value)


def test_damage_anywhere_never_passes_unseen(tmp_path: Path) -> None:
    path, expected = tmp_path / "array.gz", some_values(10, 28, 28)
    for position in range(0, len(PACKED), 97):
        damaged = bytearray(PACKED)
        damaged[position] ^= 0x55
        path.write_bytes(damaged)
        try:
            found = read_idx(path)
        except DataError:
            continue
        np.testing.assert_array_equal(found, expected)  # bytes of the gzip header that mean nothing


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=re.escape(f"{path} cannot be read: ")):
            read_idx(path)
