"""Instances as images of numbers, and a table of what the numbers stand for."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from PIL import Image

from visiontasks.prediction.results import Prediction
from visiontasks.prediction.writers import FolderWriter, TextWriter
from visiontasks.visualization import encode_picture

_TABLE = "instances.csv"


class InstanceImages(FolderWriter):
    """A PNG of 16 bits for each image, whose pixels are numbers of instances, and one table of all of them.

    Pixels without an instance are 0. The instances of an image are numbered from 1 in descending order of score, and
    where several overlap, the best is shown. ``instances.csv`` has a row for each: file, id, label, class, score.
    """

    suffix = ".png"
    least = 0.5

    def __init__(
        self,
        output: Path | None,
        files: Sequence[Path] = (),
        class_names: Sequence[str] = (),
        annotations: Path | None = None,
    ) -> None:
        super().__init__(output, files, class_names, annotations)
        self._table = _InstanceTable(self.folder / _TABLE, files, class_names)

    def encode(self, prediction: Prediction) -> str:
        """Write the image of numbers, and return its rows of the table."""
        if prediction.instances is None or prediction.size is None:
            return ""
        numbers = np.zeros(prediction.size, np.uint16)
        for index in reversed(range(len(prediction.instances))):
            (left, top, right, bottom), mask = prediction.instance(index)
            numbers[top:bottom, left:right][mask == 1] = index + 1
        self.write(self.target(prediction), encode_picture(Image.fromarray(numbers), self.suffix))
        return self._table.encode(prediction)

    def collect(self, text: str) -> None:
        """Append rows to the table."""
        self._table.collect(text)

    def __enter__(self) -> Self:
        """Make the folder and the table."""
        super().__enter__()
        self._table.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the table."""
        self._table.__exit__(kind, error, trace)


class _InstanceTable(TextWriter):
    suffix = ".csv"
    head = "file,id,label,class,score\n"

    def encode(self, prediction: Prediction) -> str:
        text = io.StringIO()
        instances = zip(prediction.labels, prediction.class_names, prediction.scores, strict=True)
        rows = (
            [prediction.name, number, label, name, f"{score:.6f}"]
            for number, (label, name, score) in enumerate(instances, 1)
        )
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue()
