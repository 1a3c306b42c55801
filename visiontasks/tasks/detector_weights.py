"""Weights that a detector starts from, and what else they decide."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from visiontasks.detection.published import PUBLISHED, PUBLISHED_VIEW, load_detector, read_detector
from visiontasks.tasks.normalization import Normalization
from visiontasks.tasks.starting import start_network

if TYPE_CHECKING:
    import visiontasks.tasks.detection


def freezes_norms(weights: str | Path | None, arguments: Mapping[str, Any]) -> bool:
    """Decide whether the batch norms of the backbone are frozen: if it is pretrained, unless something else is said.

    Statistics of the few images of a step are worse than those of the pretraining.

    Args:
        weights: The weights of the detector.
        arguments: The arguments of :class:`~visiontasks.tasks.task.Task`.
    """
    given = arguments.get("freeze_norms")
    pretrained = weights is not None or arguments.get("backbone_weights") is not None
    return pretrained if given is None else bool(given)


def start_detector(
    task: "visiontasks.tasks.detection.DetectionTask", weights: str | Path | None, normalization: Normalization | None
) -> None:
    """Load the weights of a whole detector, and adopt how images are brought to it.

    Args:
        task: The detector, with all its layers.
        weights: The argument of the task; None to leave the network as it is.
        normalization: The mode, if one is given.
    """
    load = partial(load_detector, task, num_classes=task.num_classes)
    start_network(task, weights, normalization, read_detector, load)
    if weights in PUBLISHED and task.image_size is None:
        task.view = PUBLISHED_VIEW
