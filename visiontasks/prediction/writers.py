"""Base classes of output formats: one file for all images, or one for each."""

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self, TextIO

from visiontasks.errors import ArgumentError
from visiontasks.files import replacing, write_atomically
from visiontasks.prediction.results import Prediction
from visiontasks.prediction.sources import name_targets

_Kind = type[BaseException] | None


class Writer(ABC):
    """Writes predictions in one format.

    Args:
        output: The file or folder; None for the terminal.
        files: The images.
        class_names: Names of all classes.
        annotations: Annotations in COCO format, for formats that have ids of images and classes.

    Attributes:
        suffix: Ending of the files.
        into_folder: Whether there is a file for each image.
        least: Default minimum score of the boxes that are written.
        has_ids: Whether it writes ids of images and classes.

    Raises:
        ArgumentError: If there are annotations and no ids, or a result would replace an image.
    """

    suffix: ClassVar[str]
    into_folder: ClassVar[bool] = True
    least: ClassVar[float] = 0.0
    has_ids: ClassVar[bool] = False

    def __init__(
        self,
        output: Path | None,
        files: Sequence[Path] = (),
        class_names: Sequence[str] = (),
        annotations: Path | None = None,
    ) -> None:
        if annotations is not None and not self.has_ids:
            message = f"annotations are for the format 'coco'; this one writes files {self.suffix}."
            raise ArgumentError(message)
        self.output = output
        self.files = files
        self.class_names = class_names
        self.annotations = annotations

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
    def __exit__(self, kind: _Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        """End."""


class FolderWriter(Writer):
    """A file for each image, which is complete once the image is encoded; see :class:`Writer`."""

    def __init__(
        self,
        output: Path | None,
        files: Sequence[Path] = (),
        class_names: Sequence[str] = (),
        annotations: Path | None = None,
    ) -> None:
        super().__init__(output, files, class_names, annotations)
        self.targets = name_targets(files, self.folder, self.suffix)

    def collect(self, text: str) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: _Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        """Do nothing."""

    @property
    def folder(self) -> Path:
        """Where the files go."""
        assert self.output is not None
        return self.output

    def target(self, prediction: Prediction) -> Path:
        """Return the file for an image."""
        return self.folder / self.targets[prediction.name]

    def write(self, file: Path, content: bytes) -> None:
        """Write a file for an image, without waiting for the disk each time."""
        write_atomically(file, content, flush=False)


class TextWriter(Writer):
    """One file for all images, or the terminal; the file gets its final name once it is complete."""

    into_folder = False
    head = tail = separator = ""

    def __enter__(self) -> Self:
        """Open the file."""
        self._stream: TextIO = sys.stdout
        self._first = True
        with ExitStack() as opened:
            if self.output is not None:
                part = opened.enter_context(replacing(self.output, keep=True))
                # File names may not be valid UTF-8; their bytes are written unchanged.
                stream = part.open("w", newline="", encoding="utf-8", errors="surrogateescape")
                self._stream = opened.enter_context(stream)
            opened.push(self._end)
            self._stream.write(self.head)
            self._opened = opened.pop_all()
        return self

    def collect(self, text: str) -> None:
        """Append the text of an image."""
        if text:
            self._stream.write(text if self._first else self.separator + text)
            self._first = False

    def __exit__(self, kind: _Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file; after an error the incomplete file is left as ``NAME.part``."""
        self._opened.__exit__(kind, error, trace)

    def _end(self, kind: _Kind, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            self._stream.write(self.tail)
            self._stream.flush()
