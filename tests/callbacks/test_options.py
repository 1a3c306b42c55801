"""Each option of a callback reaches what it names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback

from visiontasks import ClassificationTask
from visiontasks.callbacks import (
    BestCheckpoint,
    CodeImages,
    ConfusionImages,
    FilterImages,
    LastCheckpoint,
    PerClassTable,
    PredictionImages,
    ReliabilityDiagram,
    WorstSamples,
    checkpoints,
)
from visiontasks.callbacks.evaluation_files import KEPT

KEEPERS: dict[str, Callable[..., Callback]] = {
    "codes": CodeImages,
    "confusion": ConfusionImages,
    "filters": FilterImages,
    "per_class": PerClassTable,
    "predictions": PredictionImages,
    "reliability": ReliabilityDiagram,
    "worst": WorstSamples,
}


@pytest.mark.parametrize("name", KEEPERS)
def test_each_keeps_as_many_as_asked_in_a_folder_of_its_own(name: str, tmp_path: Path) -> None:
    for options, expected in (({}, KEPT), ({"keep": 3}, 3), ({"keep": "all"}, "all")):
        files: Any = KEEPERS[name](**options)._files  # type: ignore[attr-defined]  # all of these have them
        files.begin(tmp_path)
        assert (files.keep, files.folder) == (expected, tmp_path / name)


def test_the_checkpoints_of_a_run_follow_the_metric_of_the_task() -> None:
    best, last = checkpoints(ClassificationTask(4), minutes=2.5)
    assert isinstance(best, BestCheckpoint)
    assert isinstance(last, LastCheckpoint)
    assert (best.monitor, best.mode, last.minutes) == ("val/accuracy", "max", 2.5)
