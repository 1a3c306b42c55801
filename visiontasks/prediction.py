"""A checkpoint on image files, and nothing else needed."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

import visiontasks
from visiontasks.data.images import IMAGE_SUFFIXES, read_pixels, resize
from visiontasks.errors import ArgumentError, CheckpointError, DataError, near_matches
from visiontasks.tasks.base import Task
from visiontasks.tasks.checkpoint import RECORD, read_checkpoint
from visiontasks.tasks.classification import ClassificationTask
from visiontasks.tasks.localization import LocalizationTask
from visiontasks.types import LocalizationPredictions

Box = tuple[float, float, float, float]


class FilePrediction(NamedTuple):
    """What a classifier or a localizer says of a file.

    Attributes:
        file: The file.
        labels: The most probable class alone, or all that reach their threshold (multilabel), most probable first; none
            when the file could not be read.
        class_names: Their names.
        scores: Their probabilities, 0 to 1.
        error: Why the file could not be read; None when it could.
        box: Localization: the object's box, xyxy in pixels of the file as it is displayed.
    """

    file: Path
    labels: tuple[int, ...] = ()
    class_names: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    error: str | None = None
    box: Box | None = None


class Predictor:
    """A trained classifier or localizer for image files.

    Images are resized to the size that the task was trained on.

    Args:
        task: The task, with its weights.
        device: Where it runs; by default a GPU if there is one.

    Raises:
        ArgumentError: If the task does not know its image size, or is of another kind.
    """

    def __init__(self, task: Task, device: str | torch.device | None = None) -> None:
        if not isinstance(task, ClassificationTask | LocalizationTask):
            message = (
                "Prediction on files is for ClassificationTask and LocalizationTask so far; the checkpoint holds "
                f"{type(task).__name__}."
            )
            raise ArgumentError(message)
        if task.image_size is None:
            message = (
                "The checkpoint does not say which image size it was trained on: load the task with image_size=(H, W)."
            )
            raise ArgumentError(message)
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.task = task.to(self.device).eval()
        self.image_size = task.image_size
        self.class_names = task.class_names or [str(index) for index in range(task.num_classes)]

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, task: type[Task] | None = None, device: str | torch.device | None = None
    ) -> Self:
        """Load a checkpoint.

        Args:
            path: The checkpoint.
            task: Its class; needed for tasks of your own.
            device: Where it runs; by default a GPU if there is one.

        Returns:
            The predictor.

        Raises:
            CheckpointError: If the file is missing, damaged, unsafe, or of an unknown task.
        """
        owner = task or find_task(read_checkpoint(path), path)
        return cls(owner.load_from_checkpoint(path), device)

    def predict(self, files: Iterable[Path], batch_size: int = 64) -> Iterator[FilePrediction]:
        """Predict image files; a file that cannot be read gives a prediction with an error.

        Args:
            files: The files.
            batch_size: Images that are computed at once.

        Yields:
            One prediction per file, in order.
        """
        waiting: list[Path] = []
        for file in files:
            waiting.append(file)
            if len(waiting) == batch_size:
                yield from self._batch(waiting)
                waiting = []
        yield from self._batch(waiting)

    def _batch(self, files: Sequence[Path]) -> Iterator[FilePrediction]:
        images, sizes, errors = [], [], {}
        for file in files:
            try:
                pixels = read_pixels(file, self.task.in_channels)
                images.append(torch.from_numpy(np.ascontiguousarray(resize(pixels, self.image_size))).permute(2, 0, 1))
                sizes.append(pixels.shape[:2])
            except DataError as error:
                errors[file] = str(error)
        if images:
            with torch.inference_mode():
                outputs: Any = self.task.infer(torch.stack(images).to(self.device))
                predictions: Any = self.task.predict(outputs)
            boxes: list[Any] = [None] * len(sizes)
            if isinstance(predictions, LocalizationPredictions):
                boxes = self._original(predictions.boxes.cpu(), torch.tensor(sizes))
            results = iter(zip(predictions.labels.cpu(), predictions.scores.cpu(), boxes, strict=True))
        for file in files:
            if file in errors:
                yield FilePrediction(file, error=errors[file])
            else:
                label, score, box = next(results)
                labels, scores = _found(label, score)
                names = tuple(self.class_names[label] for label in labels)
                yield FilePrediction(file, labels, names, scores, box=box)

    def _original(self, boxes: Tensor, sizes: Tensor) -> list[Any]:
        """Bring boxes back to images of the given heights and widths."""
        scale = sizes / torch.tensor(self.image_size)
        return [tuple(box) for box in (boxes * scale.flip(1).repeat(1, 2)).tolist()]


def _found(label: Tensor, score: Tensor) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """List the classes that were found in an image, most probable first, and their probabilities."""
    if not label.ndim:
        return (int(label),), (float(score),)
    labels = sorted(label.nonzero().flatten().tolist(), key=lambda index: -float(score[index]))
    return tuple(labels), tuple(score[labels].tolist())


def find_files(sources: Iterable[str | Path]) -> list[Path]:
    """List the image files that files, folders (searched in depth) and glob patterns name.

    Args:
        sources: Files, folders and patterns.

    Returns:
        The files, each once; those of a folder or pattern sorted.

    Raises:
        ArgumentError: If a source does not exist or names no image.
    """
    files: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            found = [path]
        else:
            found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not found:
            message = f"{str(source)!r} is no file, folder with images, or pattern that matches any."
            raise ArgumentError(message)
        files |= dict.fromkeys(found)
    return list(files)


def find_task(checkpoint: dict[str, Any], path: str | Path) -> type[Task]:
    """Find the class of the task that a checkpoint holds; only classes of this library are looked up.

    Args:
        checkpoint: What :func:`~visiontasks.tasks.checkpoint.read_checkpoint` returns.
        path: Its file, for messages.

    Returns:
        The class.

    Raises:
        CheckpointError: If it is a class of the user's own.
    """
    name = checkpoint.get(RECORD, {}).get("task")
    found = getattr(visiontasks, name) if name in visiontasks.__all__ else None
    if not (isinstance(found, type) and issubclass(found, Task)):
        message = (
            f"{str(path)!r} was made by {name or 'another program'}, which is no task of this library. "
            "Say which class it is by its import path, such as my_module.MyTask."
        )
        raise CheckpointError(message)
    return found


def import_class(path: str) -> type:
    """Import a class by its path.

    Args:
        path: Such as ``"my_module.MyTask"``.

    Returns:
        The class.

    Raises:
        ArgumentError: If there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        imported = import_module(module)
    except (ImportError, ValueError) as error:
        message = (
            f"{path!r} cannot be imported: {error}. A class is given by its import path, such as 'my_module.MyTask'."
        )
        raise ArgumentError(message) from error
    found = getattr(imported, name, None)
    if not isinstance(found, type):
        message = f"Module {module!r} has no class {name!r}. {near_matches(name, vars(imported))}"
        raise ArgumentError(message)
    return found
