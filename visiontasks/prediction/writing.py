"""Writing of predictions to files while the network computes the next ones."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from visiontasks.errors import ArgumentError, near_matches
from visiontasks.prediction.coco_ids import number_images, read_ids
from visiontasks.prediction.formats import FORMATS, CocoResults, Csv
from visiontasks.prediction.pipeline import in_order
from visiontasks.prediction.predictors import ImagePredictor
from visiontasks.prediction.results import Prediction
from visiontasks.prediction.sources import target_names
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
    by_suffix = {kind.suffix: known for known, kind in FORMATS.items() if not kind.into_folder}
    if name is None and output is not None:
        name = by_suffix.get(output.suffix.lower())
    name = name or predictor.formats[0]
    if name not in predictor.formats:
        message = (
            f"format is {name!r}, which a {type(predictor.task).__name__} has no results for. "
            f"{near_matches(name, predictor.formats)}"
        )
        raise ArgumentError(message)
    if name == "npz" and output is None:
        message = "The format 'npz' is no text for a terminal: name a file, --output FILE.npz."
        raise ArgumentError(message)
    if FORMATS[name].into_folder and (output is None or output.is_file()):
        message = f"The format {name!r} is a file for each image: give a folder to write into, --output FOLDER."
        raise ArgumentError(message)
    if not FORMATS[name].into_folder and output is not None and output.is_dir():
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
    if annotations is not None and name != "coco":
        message = f"annotations are for the format 'coco'; this one is {name!r}."
        raise ArgumentError(message)
    kind = FORMATS[name]
    if issubclass(kind, Csv):
        return Csv(output, boxes="voc" in predictor.formats)
    if issubclass(kind, CocoResults):
        # The background has no id.
        names = [name for name in predictor.class_names if name != "background" or "voc" in predictor.formats]
        return CocoResults(
            output, number_images(files, names) if annotations is None else read_ids(annotations, files, names)
        )
    if output is None or not kind.into_folder:
        return kind(output)
    return kind(output, name_targets(files, output, kind.suffix), predictor.class_names)


def name_targets(files: Sequence[Path], folder: Path, suffix: str) -> dict[Path | int, Path]:
    """Name the result of each image in a folder.

    Raises:
        ArgumentError: If a result would replace an image.
    """
    targets = target_names(files, suffix)
    sources = {file.resolve() for file in files}
    for target in targets:
        if (folder / target).resolve() in sources:
            message = (
                f"{str(folder / target)!r} is an image to be predicted, and a result of that name would replace it. "
                "Write into another folder."
            )
            raise ArgumentError(message)
    return dict(zip(files, targets, strict=True))


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
        return prediction._replace(image=None, mask=None, reconstruction=None), text

    for prediction, text in in_order(write, predictions, _THREADS, ahead=2 * _THREADS):
        writer.collect(text)
        yield prediction
