"""Contents of the report of a run, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visiontasks.report.environment import Environment
from visiontasks.report.history import History

Counts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of the classes.

    Attributes:
        unit: What is counted, such as ``"images"``.
        counts: A row for each true class, a column for each predicted one.
        names: Names of the rows and columns; if the last is the background, there is one more than there are classes.
        note: How it was counted.
    """

    unit: str
    counts: Counts
    names: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Thresholds:
    """Numbers of true and false positives at the score thresholds 0, 0.01, ... 1.

    Attributes:
        unit: What is counted, such as ``"objects"``.
        names: Classes.
        right: True positives, [classes, 101].
        wrong: False positives, [classes, 101].
        wanted: Number of ground truth objects or images, [classes].
        note: How it was counted.
        start: Threshold that the page shows first, in hundredths.
    """

    unit: str
    names: Sequence[str]
    right: Counts
    wrong: Counts
    wanted: Sequence[int]
    note: str = ""
    start: int = 50


@dataclass(frozen=True)
class Sample:
    """A picture of an image with its annotation and prediction.

    Attributes:
        jpeg: Content of a JPEG file.
        caption: One line.
        width: Width of the picture, in pixels.
    """

    jpeg: bytes
    caption: str
    width: int


@dataclass(frozen=True)
class Gallery:
    """Samples under a title."""

    title: str
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Report:
    """Contents of the page.

    Attributes:
        title: Title of the page.
        facts: Facts on the model and the data, by name.
        metrics: The final metrics as they are logged, such as ``test/loss``, and ``test/iou/NAME`` for a class.
        monitor: The metric by which the checkpoint was chosen, without its stage.
        class_names: Names of the classes in the order of the labels.
        history: The metrics over the training.
        confusion: Confusion matrix.
        thresholds: True and false positives by score threshold.
        galleries: Samples.
        quality: Name of the measure by which the samples were chosen and ordered.
        trained: Environment of the training; None if unknown.
        tested: Environment of the test.
        configuration: Configuration as YAML.
    """

    title: str
    facts: Mapping[str, str]
    metrics: Mapping[str, float]
    monitor: str
    class_names: Sequence[str]
    history: History
    confusion: Confusion | None
    thresholds: Thresholds | None
    galleries: Sequence[Gallery]
    quality: str
    trained: Environment | None
    tested: Environment
    configuration: str
