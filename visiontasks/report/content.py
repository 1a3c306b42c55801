"""What stands on the page of a run, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from visiontasks.report.environment import Environment
from visiontasks.report.history import History

Counts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Confusion:
    """How often a class was taken for another.

    Attributes:
        unit: What is counted, such as ``"images"``.
        counts: A row for each true class, a column for each predicted one.
        names: Of the rows and columns; one more than there are classes where the last is the background.
        note: How it was counted.
    """

    unit: str
    counts: Counts
    names: Sequence[str]
    note: str = ""


@dataclass(frozen=True)
class Thresholds:
    """Finds whose score is at least a threshold: 0, 0.01, ... 1.

    Attributes:
        unit: What is found, such as ``"objects"``.
        names: Classes.
        right: Finds that are right, [classes, 101].
        wrong: Finds that are wrong, [classes, 101].
        wanted: All there is to find, [classes].
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
        width: Of the picture, in pixels.
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
    """All that stands on the page.

    Attributes:
        title: Of the page.
        facts: What was trained on what, by what it is.
        metrics: The final metrics as they are logged, such as ``test/loss``, and ``test/iou/NAME`` for a class.
        monitor: The metric by which the checkpoint was chosen, without its stage.
        class_names: In the order of the labels.
        history: The metrics over the training.
        confusion: How often classes were confused.
        thresholds: What is found at which score.
        galleries: Samples.
        quality: What the samples were chosen and are ordered by.
        trained: What the training was made with; None where it is not known.
        tested: What the test was made with.
        configuration: As YAML.
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
