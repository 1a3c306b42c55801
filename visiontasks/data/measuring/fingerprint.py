"""Fingerprint of the data of a run: a digest of a split."""

import hashlib
from collections.abc import Sized
from typing import Any

import numpy as np
from torch import Tensor

_ANNOTATIONS = (
    *("offsets", "labels", "boxes", "ignore", "pixels", "masks"),
    *("values", "polygon_offsets", "object_offsets", "blob"),
)


def fingerprint(dataset: Any) -> str:  # noqa: ANN401 (any data set)
    """Compute a digest of a data set: names and annotations of images in files, pixels and labels of images in memory.

    The pixels of files are not read, so a file that is changed in place does not change the digest.

    Args:
        dataset: The data set; if it is not one of this library's, the digest depends only on its number of images.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> import torch
        >>> from visiontasks.data.datasets.memory import MemoryDataset
        >>> images = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
        >>> one, other = (MemoryDataset(images, torch.tensor(labels)) for labels in ([0, 1], [1, 0]))
        >>> fingerprint(one) == fingerprint(other)
        False
    """
    digest = hashlib.sha256(str(len(dataset) if isinstance(dataset, Sized) else 0).encode())
    index: Any = getattr(dataset, "index", None)
    in_files = hasattr(index, "class_names")
    if in_files:
        for name in getattr(index, "files", ()):
            digest.update(f"{name}\0".encode(errors="surrogateescape"))
        digest.update(repr(tuple(index.class_names)).encode())
    segments = getattr(index, "segments", None)
    in_memory = (dataset, *getattr(dataset, "samples", ()))
    for holder in (index, segments, getattr(segments, "runs", None)) if in_files else in_memory:
        for name in _ANNOTATIONS:
            values = getattr(holder, name, None)
            if isinstance(values, Tensor):
                values = values.numpy()
            if isinstance(values, np.ndarray):
                digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()[:16]
