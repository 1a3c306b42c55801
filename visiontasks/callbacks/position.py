"""Where in a training a checkpoint was saved, so that the training goes on from there and not from near there.

Lightning restores most positions. These it does not (2.6): a stop within an epoch by ``max_steps`` or early stopping,
which it takes for the end of the epoch (pytorch-lightning#5325); an evaluation that was interrupted, whose rest alone
it would run; the end of an epoch under ``max_steps``; and what it does in an epoch after its checkpoints are saved:
the step of ``ReduceLROnPlateau``, and the row of the loggers.
"""

from typing import Any, Literal

from lightning.pytorch import Trainer

Position = Literal["batch", "validation", "validated", "epoch", "between"]
"""After a batch; in a validation, which will be repeated; after it; at the end of an epoch; and after that."""


def position_of(trainer: Trainer, in_validation: bool) -> Position:
    """Determine the position from the hook in which a checkpoint is saved.

    Args:
        trainer: The Trainer, in a hook of a fit.
        in_validation: Whether a validation is being interrupted.
    """
    if in_validation:
        return "validation"
    if trainer.validating:
        return "validated"
    loop = trainer.fit_loop.epoch_loop
    batches: Any = loop.batch_progress.current
    in_epoch = batches.completed < batches.processed
    if in_epoch or not loop._num_ready_batches_reached():
        return "batch"
    epochs: Any = trainer.fit_loop.epoch_progress.current
    return "epoch" if epochs.completed < epochs.processed else "between"


def may_pause(trainer: Trainer) -> bool:
    """Whether training can go on after the present batch as if nothing had happened.

    Not if gradients are being accumulated, and not if a validation or the end of the epoch or training comes next.
    """
    loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None
    ends = loop._is_training_done or trainer.should_stop
    return not (ends or loop._should_accumulate() or loop._should_check_val_fx(fetcher))


def pending_row(trainer: Trainer, position: Position) -> tuple[dict[str, float], int] | None:
    """Find what Lightning will log right after a checkpoint is saved, and at which step; None if nothing.

    All processes have to call it.
    """
    if not trainer.training:
        return None
    connector, loop = trainer._logger_connector, trainer.fit_loop.epoch_loop
    batches: Any = loop.batch_progress.current
    in_epoch = position == "batch" and batches.completed < batches.processed
    if in_epoch and not connector.should_update_logs:
        return None
    logged = connector.metrics["log"]
    if not logged:
        return None
    row = {name: float(value) for name, value in logged.items()}
    return {"epoch": trainer.current_epoch, **row}, loop._batches_that_stepped - (not in_epoch)


def correct_loops(loops: dict[str, Any], position: Position) -> None:
    """Correct the state of Lightning's loops in a checkpoint, so that Lightning resumes at the position.

    Args:
        loops: ``checkpoint["loops"]``; changed.
        position: The position.
    """
    fit = loops["fit_loop"]
    batches, epochs = fit["epoch_loop.batch_progress"], fit["epoch_progress"]
    if position == "validation":
        validated = fit["epoch_loop.val_loop.batch_progress"]
        validated["is_last_batch"] = False
        # Lightning returns to a validation that has a batch begun and not processed, and begins after the completed.
        validated["total"] = {"ready": 1, "started": 1, "processed": 0, "completed": 0}
        validated["current"] = {"ready": 0, "started": 0, "processed": 0, "completed": 0}
    elif position == "batch" and batches["current"]["completed"] == batches["current"]["processed"]:
        # A training that ended within an epoch. Written as it is in the hook after the batch.
        for count in (batches["total"], batches["current"]):
            count["completed"] -= 1
        for count in (epochs["total"], epochs["current"]):
            count["processed"] -= 1
        fit["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1


def finish_epoch(trainer: Trainer, position: Position) -> None:
    """Do what Lightning does in an epoch after its checkpoint is saved; called at the start of a resumed training.

    Args:
        trainer: The Trainer, in ``on_train_start``, with the metrics of the epoch.
        position: The position, ``"epoch"`` or ``"between"``.
    """
    fit = trainer.fit_loop
    epochs: Any = fit.epoch_progress
    if position == "epoch":
        # Schedules are stepped by the number of the epoch that runs, which Lightning counts as completed by now.
        epochs.current.completed = epochs.current.processed - 1
        fit.epoch_loop._update_learning_rates("epoch", update_plateau_schedulers=True)
    epochs.current.completed = epochs.current.processed
    epochs.total.completed = epochs.total.processed
    # Under max_steps Lightning would return into the epoch.
    for loop in (fit, fit.epoch_loop, fit.epoch_loop.val_loop):
        loop._restarting = False
        loop.reset_restart_stage()
