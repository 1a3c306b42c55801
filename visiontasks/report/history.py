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
    """Read how the metrics went over the epochs.

    What was logged several times in an epoch is averaged over it. Metrics of single classes are left out, as is the
    test.

    Args:
        file: ``metrics.csv`` of a run folder.

    Returns:
        The metrics in the order of the file; empty without the file. Of long trainings, at most 250 points of each
        curve, which are then means over several epochs.

    Raises:
        DataError: If the file is none of metrics.
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
            # Callbacks that log by themselves, such as LearningRateMonitor, write rows of a step without its epoch.
            if not row["epoch"]:
                continue
            for column, text in row.items():
                stage, _, name = (column or "").partition("/")
                if not text or column in ("epoch", "step") or stage == "test" or "/" in name:
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
