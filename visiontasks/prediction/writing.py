"""Writing of predictions to files while the network computes the next ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from visiontasks.errors import ArgumentError, near_matches
from visiontasks.prediction.image_predictor import ImagePredictor
from visiontasks.prediction.pipeline import in_order
from visiontasks.prediction.predictors import FORMAT_OF_SUFFIX, row_of
from visiontasks.prediction.results import Prediction
from visiontasks.prediction.writers import Writer

_THREADS = 2
_CLEAR = 0.5
"""Minimum score of boxes in output for people."""


def choose_format(predictor: ImagePredictor, name: str | None, output: Path | None) -> str:
    """Choose a format: as requested, otherwise by the suffix of the output, otherwise the default of the task.

    Args:
        predictor: What predicts.
        name: The requested format.
        output: The file or folder.

    Raises:
        ArgumentError: If the task does not support the format, or the output must be a folder.
    """
    writers = _writers(predictor)
    if name is None and output is not None:
        name = FORMAT_OF_SUFFIX.get(output.suffix.lower())
    name = name or next(iter(writers))
    if name not in writers:
        message = (
            f"format is {name!r}, which a {type(predictor.task).__name__} has no results for. "
            f"{near_matches(name, writers)}"
        )
        raise ArgumentError(message)
    writer = writers[name]
    if name == "npz" and output is None:
        message = "The format 'npz' is not text for a terminal: name a file, --output FILE.npz."
        raise ArgumentError(message)
    if writer.into_folder and (output is None or output.is_file()):
        message = f"The format {name!r} is a file for each image: give a folder to write into, --output FOLDER."
        raise ArgumentError(message)
    if not writer.into_folder and output is not None and output.is_dir():
        message = f"The format {name!r} is one file, and {str(output)!r} is a folder: name a file, --output FILE."
        raise ArgumentError(message)
    return name


def create_writer(
    name: str,
    predictor: ImagePredictor,
    files: Sequence[Path],
    output: Path | None = None,
    annotations: Path | None = None,
) -> Writer:
    """Create the writer of a format.

    Args:
        name: The format, see :func:`choose_format`.
        predictor: What predicts.
        files: The images.
        output: The file or folder; the terminal by default.
        annotations: Annotations in COCO format, whose ids of images and classes are used in COCO results.

    Raises:
        ArgumentError: If an option is for another format, or a result would replace an image.
        DataError: If the annotations cannot be read.
    """
    return _writers(predictor)[name](output, files, predictor.class_names, annotations)


def _writers(predictor: ImagePredictor) -> dict[str, type[Writer]]:
    row = row_of(predictor.task)
    assert row is not None  # or there would be no predictor
    return row.writers


def write_predictions(
    predictions: Iterable[Prediction],
    writer: Writer,
    overlay: Callable[[Prediction], None] | None = None,
    all_boxes: bool = False,
) -> Iterator[Prediction]:
    """Write predictions by threads, and pass each one on once it is written.

    Args:
        predictions: What :func:`~visiontasks.prediction.predict_images` yields.
        writer: The writer, already opened.
        overlay: Draws a successful prediction and saves the picture.
        all_boxes: Whether to include boxes with low scores in formats and pictures that by default have only high
            scores.

    Yields:
        The predictions, without their pixels.
    """

    def write(prediction: Prediction) -> tuple[Prediction, str]:
        text = writer.encode(prediction if all_boxes else prediction.at_least(writer.least))
        if overlay is not None and prediction.error is None:
            overlay(prediction if all_boxes else prediction.at_least(_CLEAR))
        return prediction._replace(image=None, instances=None, mask=None, reconstruction=None, picture=None), text

    for prediction, text in in_order(write, predictions, _THREADS, ahead=2 * _THREADS):
        writer.collect(text)
        yield prediction
