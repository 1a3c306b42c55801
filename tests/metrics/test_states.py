"""What all metrics of all tasks keep to on several processes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    InstanceSegmentationTask,
    LocalizationTask,
    SegmentationTask,
    Task,
)

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}
TASKS: dict[str, Callable[[], Task]] = {
    "classification": partial(ClassificationTask, 6, **SMALL),
    "multilabel": partial(ClassificationTask, 3, mode="multilabel", **SMALL),
    "binary": partial(ClassificationTask, 2, mode="binary", **SMALL),
    "localization": partial(LocalizationTask, 6, **SMALL),
    "detection": partial(DetectionTask, 3, **SMALL, fpn_width=8, head_width=8),
    "instances": partial(InstanceSegmentationTask, 3, **SMALL, fpn_width=8, head_width=8, mask_widths=(8,)),
    "segmentation": partial(SegmentationTask, 3, **SMALL),
    "multilabel segmentation": partial(SegmentationTask, 3, mode="multilabel", **SMALL),
    "autoencoding": partial(AutoencodingTask, 4, image_size=(8, 8), **SMALL),
}


@pytest.mark.parametrize("name", TASKS)
def test_every_state_is_reduced_over_the_processes(name: str) -> None:
    scores = TASKS[name]().scores
    metrics = [*scores.train_metrics.values(), *scores.val_metrics.values(), *scores.test_metrics.values()]
    assert metrics
    for metric in [*metrics, scores.val_losses, scores.test_losses]:
        for state, reduction in metric._reductions.items():
            assert reduction is not None, f"{type(metric).__name__}.{state}"
