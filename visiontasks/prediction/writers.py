"""Base classes of output formats: one file for all images, or one for each."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Self, TextIO

from visiontasks.prediction.results import Prediction


class Writer(ABC):
    """Writes predictions in one format.

    Args:
        output: The file or folder.
        targets: Where in the folder the result of each image goes, for formats with a file for each.
        class_names: Names of all classes.

    Attributes:
        suffix: Ending of the files.
        into_folder: Whether there is a file for each image.
        least: Default minimum score of the boxes that are written.
    """

    suffix: ClassVar[str]
    into_folder: ClassVar[bool] = True
    least: ClassVar[float] = 0.0

    def __init__(
        self, output: Path | None, targets: Mapping[Path | int, Path] | None = None, class_names: Sequence[str] = ()
    ) -> None:
        self.output = output
        self.targets = targets or {}
        self.class_names = class_names

    @abstractmethod
    def encode(self, prediction: Prediction) -> str:
        """Turn a prediction into text, or write its own file; called in several threads at once."""

    @abstractmethod
    def collect(self, text: str) -> None:
        """Write the text of a prediction; called in the order of the images."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Begin."""

    @abstractmethod
    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """End."""


class FolderWriter(Writer):
    """A file for each image, which is complete once the image is encoded."""

    def collect(self, text: str) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Do nothing."""

    @property
    def folder(self) -> Path:
        """Where the files go."""
        assert self.output is not None
        return self.output

    def target(self, prediction: Prediction) -> Path:
        """Return the file for an image, whose folder is created."""
        target = self.folder / self.targets[prediction.name]
        target.parent.mkdir(parents=True, exist_ok=True)
        return target


class TextWriter(Writer):
    """One file for all images, or the terminal; the file gets its final name once it is complete."""

    into_folder = False
    head = tail = separator = ""

    def __enter__(self) -> Self:
        """Open the file."""
        self._part: Path | None = None
        self._stream: TextIO = sys.stdout
        if self.output is not None:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            # A pipe or a terminal cannot be renamed.
            regular = not self.output.exists() or self.output.is_file()
            self._part = self.output.with_name(f"{self.output.name}.part") if regular else None
            # File names may not be valid UTF-8; their bytes are written unchanged.
            self._stream = (self._part or self.output).open("w", newline="", encoding="utf-8", errors="surrogateescape")
        self._stream.write(self.head)
        self._first = True
        return self

    def collect(self, text: str) -> None:
        """Append the text of an image."""
        if text:
            self._stream.write(text if self._first else self.separator + text)
            self._first = False

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Close the file; after an error the incomplete file is left as ``NAME.part``."""
        if kind is None:
            self._stream.write(self.tail)
        self._stream.flush()
        if self.output is None:
            return
        if self._part is not None and kind is None:
            os.fsync(self._stream.fileno())
        self._stream.close()
        if self._part is not None and kind is None:
            self._part.replace(self.output)
