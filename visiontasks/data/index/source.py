"""What a parser of annotations is, and the last step that all of them share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.problems import Parsed
from visiontasks.data.index.ragged import PackedStrings


@runtime_checkable
class AnnotationSource(Protocol):
    """Annotations in some format.

    Every source is a frozen dataclass whose fields say what is parsed and how: its ``repr`` names the parse.
    """

    def sources(self) -> Sequence[Path]:
        """List the annotation files that the result depends on; none for what is only a listing of folders."""

    def parse(self) -> Parsed:
        """Read all annotations. What is wrong with them is returned, not raised."""


def empty_index(root: Path, class_names: tuple[str, ...] = ()) -> ImageIndex:
    """Create an index without images."""
    return ImageIndex(
        root=root,
        files=PackedStrings.pack([]),
        image_ids=np.zeros(0, np.int64),
        sizes=np.zeros((0, 2), np.int32),
        class_names=class_names,
        category_ids=np.arange(len(class_names)),
        offsets=np.zeros(1, np.int64),
        labels=np.zeros(0, np.int32),
        boxes=np.zeros((0, 4)),
        ignore=np.zeros(0, bool),
    )
