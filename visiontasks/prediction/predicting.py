"""Prediction of images, which threads read and resize while the network computes."""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Stretch
from visiontasks.data.images.arrays import to_tensor
from visiontasks.errors import ArgumentError, DataError
from visiontasks.options import MAX_PIXELS, Flips
from visiontasks.prediction.checkpoints import load_task, on_device
from visiontasks.prediction.image_predictor import ImagePredictor, Sample
from visiontasks.prediction.images import ImageSource, each_image, read_source
from visiontasks.prediction.pipeline import in_order
from visiontasks.prediction.predictors import PREDICTION_ROWS, row_of
from visiontasks.prediction.results import Prediction
from visiontasks.serialization import Source
from visiontasks.sizes import ImageSize, height_and_width
from visiontasks.tasks.task import Task
from visiontasks.tasks.views import evaluation_view


class _Prepared(NamedTuple):
    """An image on its way to the network: the output of the predictor's ``prepare``, or the error."""

    prediction: Prediction
    sample: Sample | None


def create_predictor(
    model: Task | Source,
    *,
    task_class: type[Task] | None = None,
    device: str | torch.device | None = None,
    image_size: ImageSize | None = None,
    score: float | None = None,
    proposals: str | Path | None = None,
    window: tuple[int, int] | None = None,
    overlap: float | None = None,
    flips: Flips | None = None,
    scales: Sequence[float] | None = None,
    windows_at_once: int | None = None,
) -> ImagePredictor:
    """Create a predictor for :func:`predict_images`, which can be used for several calls, in several threads at once.

    Args:
        model: A checkpoint, see :func:`load_task`, or a task with its weights. The task is moved to the device,
            converted to channels-last memory and set to evaluation mode, and stays so; nothing else of it is changed.
        task_class: Class of the checkpoint's task; needed for tasks of your own.
        device: Where it runs; by default a GPU if there is one.
        image_size: Height and width in pixels that images are resized to, or one number for both; by default they are
            brought to the network as in the validation of the training.
        score: Detection: minimum score of a box, 0 to 1, in place of the task's own.
        proposals: Detection on precomputed proposals: their file.
        window: Segmentation: height and width in pixels of the windows that an image is cut into; by default the whole
            image is segmented at once.
        overlap: Segmentation: overlap of neighbouring windows as a fraction of a window, 0 to 0.9; 0.25 by default.
        flips: Segmentation, detection: mirror images to average over; by default as the task has it.
        scales: Segmentation, detection: factors of the size to average over; by default as the task has it.
        windows_at_once: Segmentation: number of windows computed at once; 1 by default.

    Returns:
        The predictor.

    Raises:
        ArgumentError: If an argument is out of range or for another task, the task is of an unknown kind, or it is not
            known how images are brought to it.
        CheckpointError: If the file is missing, damaged, unsafe, or of an unknown task.
    """
    task = model if isinstance(model, Task) else load_task(model, task_class)
    options: dict[str, Any] = {
        "score": score,
        "proposals": proposals,
        "window": window,
        "overlap": overlap,
        "flips": flips,
        "scales": scales,
        "windows_at_once": windows_at_once,
    }
    given = {name: value for name, value in options.items() if value is not None}
    row = row_of(task)
    if row is None:
        known = ", ".join(owner.__name__ for owner in PREDICTION_ROWS)
        message = (
            f"Prediction on images is for {known} and their subclasses; this is a {type(task).__name__}. Let it say "
            "how its predictions are written: kind = Kind(row=...), see visiontasks.Kind."
        )
        raise ArgumentError(message)
    foreign = [name for name in given if name not in row.options]
    if foreign:
        owners = [owner.__name__ for owner, other in PREDICTION_ROWS.items() if foreign[0] in other.options]
        message = f"{' and '.join(foreign)} is for a {owners[-1]}, and this is a {type(task).__name__}."
        raise ArgumentError(message)
    view = view_of(task, image_size)
    return row.predictor(on_device(task, device).to(memory_format=torch.channels_last).eval(), view, **given)


def view_of(task: Task, image_size: ImageSize | None = None) -> EvaluationView:
    """Return how images are brought to a task: as in the validation of its training, or at a given size.

    Args:
        task: The task.
        image_size: Height and width in pixels, in place of those of the task.

    Raises:
        ArgumentError: If it is not known, or the size is not positive.
    """
    description = evaluation_view(task)
    if image_size is not None:
        values, exif = (description or {}).get("value_range"), (description or {}).get("exif", True)
        size = height_and_width("image_size", image_size)
        return EvaluationView(Stretch(size), value_range=None if values is None else tuple(values), exif=exif)
    if description is None:
        message = (
            "The checkpoint does not say which size of images it was trained on, or they differed in size: give "
            "image_size=(H, W) (--image_size H W)."
        )
        raise ArgumentError(message)
    return EvaluationView.create(description)


def predict_images(
    model: ImagePredictor | Task | Source,
    images: ImageSource | Iterable[ImageSource],
    *,
    batch_size: int | None = None,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    keep_images: bool = False,
) -> Iterator[Prediction]:
    """Predict images; an unreadable image gives a prediction with an error, and the others are still predicted.

    Files are read with the same policy as in training, see :mod:`visiontasks.data.images.reading`, and resized as in
    the evaluation of the task. Reading, the network, and what the caller does with the results overlap.

    Args:
        model: A checkpoint, see :func:`load_task`, a task with its weights, or a predictor from
            :func:`create_predictor`.
        images: One image or several, in any form of :data:`~visiontasks.prediction.images.ImageSource`, or batches of
            them; what is iterated over, such as a generator, is asked for more as predictions are. A single name may
            also be a folder, a pattern or a list, see :func:`~visiontasks.prediction.sources.find_files`.
        batch_size: Images that are computed at once; by default 64, 4 in detection, 1 in segmentation and wherever
            images keep their own sizes. Of those only images of the same size are computed together, and with a window
            images are computed one by one: see ``windows_at_once`` of :func:`create_predictor`.
        threads: Threads that read images; by default one per core, 4 at most.
        max_pixels: Maximum number of pixels of an image.
        keep_images: Whether predictions hold the pixels that were read.

    Returns:
        One prediction per image, in order, as they are made.

    Raises:
        ArgumentError: If an argument is out of range, an image does not exist, or something is none; also for the
            reasons given in :func:`create_predictor`.
        CheckpointError: If the checkpoint is missing, damaged, unsafe, or of an unknown task.

    Example:
        >>> from visiontasks import ClassificationTask
        >>> task = ClassificationTask(2, ["cat", "dog"], image_size=(32, 32))
        >>> (prediction,) = predict_images(task, torch.zeros(3, 48, 64, dtype=torch.uint8))
        >>> prediction.size, len(prediction.class_names)
        ((48, 64), 1)
    """
    predictor = model if isinstance(model, ImagePredictor) else create_predictor(model)
    batch_size = predictor.batch_size if batch_size is None else batch_size
    threads = min(4, os.cpu_count() or 1) if threads is None else threads
    if batch_size < 1 or threads < 1:
        message = f"batch_size is {batch_size} and threads {threads}; expected at least 1."
        raise ArgumentError(message)
    read = partial(_prepare, predictor, max_pixels, keep_images)
    sources = enumerate(each_image(images, predictor.task.in_channels))
    prepared = in_order(read, sources, threads, ahead=batch_size + threads)
    return _in_batches(predictor, prepared, batch_size)


def _in_batches(predictor: ImagePredictor, images: Iterable[_Prepared], size: int) -> Iterator[Prediction]:
    waiting: list[_Prepared] = []
    count = 0
    for image in images:
        waiting.append(image)
        count += image.sample is not None
        if count == size:
            yield from _complete(predictor, waiting)
            waiting, count = [], 0
    yield from _complete(predictor, waiting)


def _complete(predictor: ImagePredictor, images: Sequence[_Prepared]) -> list[Prediction]:
    samples = [image.sample for image in images if image.sample is not None]
    fields = iter(predictor.predict(samples) if samples else [])
    return [image.prediction if image.sample is None else image.prediction._replace(**next(fields)) for image in images]


def _prepare(predictor: ImagePredictor, max_pixels: int, keep: bool, item: tuple[int, ImageSource]) -> _Prepared:
    position, source = item
    name = Path(source) if isinstance(source, str | os.PathLike) else position
    try:
        pixels = read_source(source, predictor.reading(max_pixels))
        sample = predictor.prepare(pixels, name)
    except DataError as error:
        return _Prepared(Prediction(name, error=str(error)), None)
    image = to_tensor(pixels) if keep else None
    height, width = pixels.shape[:2]
    return _Prepared(Prediction(name, (height, width), image=image), sample)
