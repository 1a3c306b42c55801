"""The metrics of a training, as Lightning's CSVLogger writes them."""

import csv
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from visiontasks.errors import DataError

History = Mapping[str, Mapping[str, list[tuple[float, float]]]]
"""By metric and stage (``train``, ``val``): epoch, from 1 on, and value."""

MOST_POINTS = 250


def read_history(file: Path) -> History:
    """Read the metrics of all epochs.

    Values logged several times in an epoch are averaged. Metrics of single classes, of the test, and of single steps
    (``train/loss_step``) are left out.

    Args:
        file: ``metrics.csv`` of a run folder.

    Returns:
        The metrics in the order of the file; empty without the file. A curve has at most 250 points, which are means
        over several epochs in a long training.

    Raises:
        DataError: If the file is not a file of metrics.
    """
    if not file.is_file():
        return {}
    values: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        rows = csv.DictReader(stream)
        if "epoch" not in (rows.fieldnames or ["epoch"]):
            message = f"{str(file)!r} has no column 'epoch'; expected the metrics.csv of Lightning's CSVLogger."
            raise DataError(message)
        for number, row in enumerate(rows, 2):
            # Callbacks with their own logging, such as LearningRateMonitor, write rows with a step but without an
            # epoch.
            if not row["epoch"]:
                continue
            for column, text in row.items():
                stage, _, name = (column or "").partition("/")
                if not text or column in ("epoch", "step") or stage == "test" or "/" in name or name.endswith("_step"):
                    continue
                try:
                    epoch, value = int(float(row["epoch"])), float(text)
                except ValueError as error:
                    message = f"{str(file)!r}, line {number}, column {column!r}: {error}."
                    raise DataError(message) from error
                if math.isfinite(value):
                    values[name or stage][stage if name else ""][epoch].append(value)
    return {name: {stage: _points(epochs) for stage, epochs in stages.items()} for name, stages in values.items()}


def _points(epochs: Mapping[int, list[float]]) -> list[tuple[float, float]]:
    points = [(epoch + 1.0, sum(values) / len(values)) for epoch, values in sorted(epochs.items())]
    size = -(-len(points) // MOST_POINTS)
    parts = [points[start : start + size] for start in range(0, len(points), size)] if points else []
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
