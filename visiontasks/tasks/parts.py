"""The callbacks that every task owns."""

from typing import NamedTuple

from visiontasks.backbones.backbone import Freeze
from visiontasks.tasks.averaged_weights import AveragedWeights
from visiontasks.tasks.finiteness import FiniteUpdates
from visiontasks.tasks.fresh_statistics import FreshStatistics
from visiontasks.tasks.preparation import Preparation
from visiontasks.tasks.process_group import ProcessGroupErrors
from visiontasks.tasks.randomness import StepRandomness
from visiontasks.tasks.resuming import Resuming
from visiontasks.tasks.scores import ScoreLogging
from visiontasks.tasks.unfreezing import Unfreezing
from visiontasks.tasks.warmup import WarmUp


class Parts(NamedTuple):
    """What a task does in Lightning's hooks, in the order in which it is done."""

    preparation: Preparation
    resuming: Resuming
    unfreezing: Unfreezing
    fresh_statistics: FreshStatistics
    averaged_weights: AveragedWeights
    score_logging: ScoreLogging
    step_randomness: StepRandomness
    finite_updates: FiniteUpdates
    warm_up: WarmUp
    process_group_errors: ProcessGroupErrors


def make_parts(freeze: Freeze, freeze_norms: bool, skip_nonfinite: int) -> Parts:
    """Create the callbacks of a task.

    Args:
        freeze: Its argument.
        freeze_norms: Its argument.
        skip_nonfinite: Its argument.
    """
    return Parts(
        Preparation(),
        Resuming(),
        Unfreezing(freeze, freeze_norms),
        FreshStatistics(),
        AveragedWeights(),
        ScoreLogging(),
        StepRandomness(),
        FiniteUpdates(skip_nonfinite),
        WarmUp(),
        ProcessGroupErrors(),
    )
