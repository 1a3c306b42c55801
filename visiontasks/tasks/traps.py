"""What lets a training go wrong in silence, looked for when a fit begins."""

import math
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, BaseFinetuning, EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_warn

from visiontasks.errors import ArgumentError, listed, near_matches

if TYPE_CHECKING:
    import visiontasks.tasks.task

FEWEST_STEPS = 50
"""Number of steps below which a training from random weights is taken for a mistake; from others, ten may be enough."""
_NEAR = 0.8
"""Similarity of two names, 0 to 1, from which on one is taken for the other misspelt."""


def check_start(trainer: Trainer, task: "visiontasks.tasks.task.Task") -> None:
    """Check a task whose weights and data are known, before it is trained.

    Args:
        trainer: The Trainer.
        task: The task.

    Raises:
        ArgumentError: If classes share a name, or there is only one to choose from.
    """
    check_names(task.class_names or ())
    if task.num_classes == 1 and getattr(task, "mode", None) == "multiclass":
        message = (
            f"{type(task).__name__} is to choose from one class, and would be right whatever it has learnt. Add the "
            "class of everything else; or let mode='multilabel' ask whether the class is there."
        )
        raise ArgumentError(message)
    freeze, callbacks = task._parts.unfreezing.freeze, trainer.callbacks  # type: ignore[attr-defined]  # out of sight
    stays = freeze not in ("none", 0) and not any(isinstance(callback, BaseFinetuning) for callback in callbacks)
    if stays and task.backbone.is_untrained():
        rank_zero_warn(
            f"freeze is {freeze!r}, and the backbone has the random weights that it was created "
            "with: they stay random. Start from others, by backbone_weights='imagenet' or a file, or use freeze='none'."
        )
    for callback, name, mode in _monitors(trainer):
        if isinstance(callback, EarlyStopping) and name.startswith("val/") and not trainer.enable_validation:
            message = (
                f"EarlyStopping watches {name!r}, and nothing is validated: give the data a val_dataloader, and the "
                "Trainer no limit_val_batches=0."
            )
            raise ArgumentError(message)
        better = _better(task, name)
        if better not in (None, mode):
            rank_zero_warn(
                f"{type(callback).__name__} watches {name!r} with mode={mode!r}, as if the "
                f"{'lowest' if mode == 'min' else 'highest'} value were the best: give it mode={better!r}."
            )


def check_length(trainer: Trainer, task: "visiontasks.tasks.task.Task") -> None:
    """Warn if a training from random weights has so few steps that next to nothing can be learnt in them.

    Args:
        trainer: The Trainer, when it has the training loader.
        task: The task, with the weights from which it starts.
    """
    steps, tried = trainer.estimated_stepping_batches, trainer.fast_dev_run  # type: ignore[attr-defined]  # as below
    if tried or not 0 <= steps < FEWEST_STEPS or not task.backbone.is_untrained():
        return
    epochs = math.ceil(FEWEST_STEPS * trainer.accumulate_grad_batches / trainer.num_training_batches)
    limited = trainer.max_epochs in (None, -1) or (trainer.max_epochs or 0) >= epochs
    remedy = f"max_steps={FEWEST_STEPS}" if limited else f"max_epochs={epochs}"
    rank_zero_warn(
        f"The whole training is {steps} steps, in which next to nothing is learnt from random weights; expected at "
        f"least {FEWEST_STEPS}. Train longer, by {remedy} or more, or take a smaller batch_size, with which an epoch "
        "has more steps."
    )


def check_unfreezing(trainer: Trainer) -> None:
    """Warn if a training ends before the epoch in which its backbone is to be unfrozen.

    Args:
        trainer: The Trainer, when it has the training loader.
    """
    batches, steps = trainer.num_training_batches, trainer.estimated_stepping_batches
    if trainer.fast_dev_run or math.isinf(batches) or math.isinf(steps):  # type: ignore[attr-defined]  # as below
        return
    epochs = math.ceil(steps / math.ceil(batches / trainer.accumulate_grad_batches))
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set out of mypy's sight
        if isinstance(callback, BackboneFinetuning) and callback.unfreeze_backbone_at_epoch >= epochs:
            epoch = callback.unfreeze_backbone_at_epoch
            rank_zero_warn(
                f"{type(callback).__name__} unfreezes the backbone at epoch {epoch}, and the last epoch is "
                f"{epochs - 1}, counted from 0: the backbone is never trained. Give the callback a lower "
                f"unfreeze_backbone_at_epoch, or train longer, by max_epochs={epoch + 1} or more."
            )


def check_names(names: Sequence[str]) -> None:
    """Check that all classes have names of their own, by which they are logged and written.

    Raises:
        ArgumentError: If some share one.
    """
    repeated = sorted({name for name in names if list(names).count(name) > 1}) if len({*names}) < len(names) else []
    if repeated:
        message = (
            f"Several classes are called {listed(repeated)}; expected a name of its own for each, since metrics and "
            "results are named by it. Correct class_names, or the file that names the classes."
        )
        raise ArgumentError(message)


def check_monitors(trainer: Trainer) -> None:
    """Check that callbacks watch what the trial validation before the first epoch has logged.

    What training logs is not known before it, and not checked.

    Args:
        trainer: The Trainer, after its trial validation.

    Raises:
        ArgumentError: If a name of the validation is not there, or another is almost the same.
    """
    logged = [name for name in trainer.callback_metrics if not name.startswith("train/")]
    for callback, name, _ in _monitors(trainer):
        # Of several loaders nothing is listed yet.
        if not logged or name.startswith("train/") or name in trainer.callback_metrics:
            continue
        parts = {_last(one): one for one in logged}
        near = get_close_matches(name, logged, 3, _NEAR) or [
            parts[part] for part in get_close_matches(_last(name), parts, 3, _NEAR) if part != name
        ]
        if not near and not name.startswith("val/"):
            continue
        message = (
            f"{type(callback).__name__} watches {name!r}, which the validation does not log. "
            f"{near_matches(near[0] if near else name, near or logged)} If it is logged later only, use "
            "num_sanity_val_steps=0."
        )
        raise ArgumentError(message)


def _monitors(trainer: Trainer) -> Iterator[tuple[object, str, str]]:
    """Yield the callbacks that watch a value, its name, and whether ``"min"`` or ``"max"`` of it is the best."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set out of mypy's sight
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and callback.monitor:
            yield callback, callback.monitor, callback.mode


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _better(task: "visiontasks.tasks.task.Task", name: str) -> str | None:
    """Return whether ``"min"`` or ``"max"`` of a logged value is the best; None if it is not known."""
    if name == task.monitor:
        return task.monitor_mode
    stage, _, value = name.partition("/")
    if value == "loss" or value.startswith("loss_"):
        return "min"
    metric = dict(task.scores.val_metrics.items(keep_base=True)).get(value) if stage == "val" else None
    higher = None if metric is None else metric.higher_is_better
    return None if higher is None else "max" if higher else "min"
