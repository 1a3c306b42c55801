"""Several indexes joined into one, such as those of all splits of a data set."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from visiontasks.data.index.packed import ImageIndex, pack_identifiers
from visiontasks.data.index.ragged import PackedStrings, offsets_of
from visiontasks.data.index.segments import Segments, pack_coordinates, unpack_coordinates


def join_indexes(indexes: Sequence[ImageIndex]) -> ImageIndex:
    """Join indexes of the same classes; an image that several of them hold is taken once, from the first.

    Args:
        indexes: At least one.

    Returns:
        The images in the order of the indexes, with files relative to the folder that holds all roots. What not every
        index has, such as areas, none has.
    """
    first = indexes[0]
    if len(indexes) == 1:
        return first
    root = Path(os.path.commonpath([index.root for index in indexes]))
    joined = replace(
        first,
        root=root,
        files=PackedStrings.pack(_below(index, file, root) for index in indexes for file in index.files),
        image_ids=pack_identifiers([index.image_id(image) for index in indexes for image in range(len(index))]),
        sizes=np.concatenate([index.sizes for index in indexes]),
        offsets=offsets_of(np.concatenate([np.diff(index.offsets) for index in indexes])),
        labels=np.concatenate([index.labels for index in indexes]),
        boxes=_joined([index.boxes for index in indexes]),
        ignore=np.concatenate([index.ignore for index in indexes]),
        areas=_joined([index.areas for index in indexes]),
        object_ids=_joined([index.object_ids for index in indexes]),
        masks=_of_all([index.masks for index in indexes], lambda _: _joined_masks(indexes, root)),
        segments=_of_all([index.segments for index in indexes], _joined_segments),
        folder=None,
    )
    seen: dict[str, int] = {}
    for image, file in enumerate(joined.files):
        seen.setdefault(file, image)
    return joined if len(seen) == len(joined) else joined.subset(list(seen.values()))


def _of_all(parts: Sequence[Any], join: Callable[[Any], Any]) -> Any:  # noqa: ANN401 (of any field)
    return None if any(part is None for part in parts) else join(parts)


def _joined(parts: Sequence[np.ndarray | None]) -> Any:  # noqa: ANN401 (of any shape)
    return _of_all(parts, np.concatenate)


def _joined_masks(indexes: Sequence[ImageIndex], root: Path) -> PackedStrings:
    return PackedStrings.pack(
        _below(index, mask, root) if mask else "" for index in indexes for mask in index.masks or ()
    )


def _joined_segments(parts: Sequence[Segments]) -> Segments:
    def offsets(name: str) -> np.ndarray:
        return offsets_of(np.concatenate([np.diff(getattr(part, name)) for part in parts]))

    return Segments(
        pack_coordinates(np.concatenate([unpack_coordinates(part.values) for part in parts])),
        offsets("polygon_offsets"),
        offsets("object_offsets"),
        PackedStrings.pack(runs for part in parts for runs in part.runs),
    )


def _below(index: ImageIndex, file: str, root: Path) -> str:
    folder = Path(os.path.relpath(index.root, root))
    return (folder / file).as_posix() if folder != Path() else file
