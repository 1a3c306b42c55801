"""Storage of an index as a folder of .npy files, which any number of processes map into memory."""

import copyreg
import json
import os
import zlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.ragged import PackedStrings
from visiontasks.data.index.segments import Segments

FORMAT = 2
"""Version of the format, increased when the format changes; folders of another version are rebuilt."""
_CHUNK = 1 << 22
_HEADER = "index.json"


def write_index(index: ImageIndex, folder: Path, extra: dict[str, Any]) -> None:
    """Write an index to a new folder, and wait until it is on the disk.

    Args:
        index: The index.
        folder: The folder, which must not exist yet.
        extra: JSON to store with the index.

    Raises:
        OSError: The folder could not be written.
    """
    folder.mkdir(parents=True)
    checksums = {}
    for name, array in _flatten(index).items():
        path = folder / f"{name}.npy"
        with path.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        checksums[name] = _checksum(path)
    header = {
        "format": FORMAT,
        "root": str(index.root),
        "class_names": index.class_names,
        "checksums": checksums,
        "extra": extra,
    }
    with (folder / _HEADER).open("w", encoding="utf-8") as file:
        json.dump(header, file)
        file.flush()
        os.fsync(file.fileno())


def read_extra(folder: Path) -> dict[str, Any]:
    """Check that the files of an index are intact, and return the JSON stored with it.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged or has another format.
    """
    header = _read_header(folder)
    for name, checksum in header["checksums"].items():
        if _checksum(folder / f"{name}.npy") != checksum:
            message = f"{folder / name}.npy is damaged"
            raise ValueError(message)
    extra: dict[str, Any] = header["extra"]
    return extra


def read_index(folder: Path) -> ImageIndex:
    """Map an index written by :func:`write_index`; data is read only when used.

    Raises:
        OSError: A file is missing or cannot be read.
        ValueError: A file is damaged or has another format.
    """
    header = _read_header(folder)
    tree: dict[str, Any] = {}
    for name in header["checksums"]:
        *path, leaf = name.split(".")
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        # A plain array instead of a memmap: slicing it costs half as much.
        node[leaf] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False).view(np.ndarray)
    arrays = {name: _assemble(node) for name, node in tree.items()}
    arrays = {"boxes": None} | arrays
    return ImageIndex(
        root=Path(header["root"]), class_names=tuple(header["class_names"]), folder=folder.absolute(), **arrays
    )


def _read_header(folder: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((folder / _HEADER).read_bytes())
        readable = header["format"] == FORMAT
    except (KeyError, TypeError) as error:
        message = f"{folder / _HEADER} is damaged"
        raise ValueError(message) from error
    if not readable:
        message = f"{folder} has another format"
        raise ValueError(message)
    return header


def _flatten(record: Any, prefix: str = "") -> dict[str, Shaped[np.ndarray, "..."]]:  # noqa: ANN401 (any dataclass)
    """Collect the arrays of a dataclass and of nested dataclasses by dotted name."""
    arrays = {}
    for field in fields(record):
        value, name = getattr(record, field.name), f"{prefix}{field.name}"
        if isinstance(value, np.ndarray):
            arrays[name] = np.ascontiguousarray(value)
        elif is_dataclass(value):
            arrays |= _flatten(value, f"{name}.")
    return arrays


def _assemble(node: Any) -> Any:  # noqa: ANN401 (an array, or a tree of them)
    """Undo :func:`_flatten` below a field."""
    if isinstance(node, np.ndarray):
        return node
    values = {name: _assemble(child) for name, child in node.items()}
    return PackedStrings(**values) if "blob" in values else Segments(**values)


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _reduce(index: ImageIndex) -> str | tuple[Any, ...]:
    """Pickle an index: a worker that is spawned maps the same files instead of receiving a copy."""
    return index.__reduce_ex__(2) if index.folder is None else (read_index, (index.folder,))


copyreg.pickle(ImageIndex, _reduce)
