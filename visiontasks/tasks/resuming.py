"""Going on with a training: its optimiser, and options that are given anew."""

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from visiontasks.arguments import plain
from visiontasks.errors import CheckpointError
from visiontasks.import_paths import import_path
from visiontasks.tasks.optimization import resume_rates, schedulers_of
from visiontasks.tasks.optimizer_options import change_options, given_options
from visiontasks.tasks.owned import OwnedCallback

if TYPE_CHECKING:
    from visiontasks.tasks.task import Task


class Resuming(OwnedCallback):
    """Checks that a training goes on with the same optimiser, and lets options that are given anew win.

    Attributes:
        given_options: Options of each optimiser as they were given to this training.
    """

    def __init__(self) -> None:
        self.given_options: list[list[dict[str, Any]]] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that training is resumed with the same optimiser, and say which one it is.

        Raises:
            CheckpointError: If the optimiser is another one.
        """
        record = cast("Task", pl_module)._record
        before, now = record.get("optimizer"), import_path(type(trainer.optimizers[0]))
        if before and trainer.ckpt_path and before != now:
            message = (
                f"The checkpoint was trained with {before}, and would go on with {now}: the optimiser's state does not "
                "fit. Use the same optimiser, or start a new training from the weights with load_from_checkpoint."
            )
            raise CheckpointError(message)
        rank_zero_info(cast("Task", pl_module)._setup.describe(trainer))
        self.given_options = [given_options(optimizer) for optimizer in trainer.optimizers]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let newly given options, such as learning rate and weight decay, take precedence over the checkpoint's.

        A named schedule sets the learning rate according to the end of this training.
        """
        if not trainer.ckpt_path:
            return
        task = cast("Task", pl_module)
        changed: dict[str, None] = {}
        before = task._record.get("optimizer_options", [])
        for optimizer, old, new in zip(trainer.optimizers, before, self.given_options, strict=False):
            now = [{name: plain(value) for name, value in group.items()} for group in new]
            changed |= dict.fromkeys(change_options(optimizer, schedulers_of(trainer, optimizer), old, now))
        if changed:
            rank_zero_info(f"Going on with other options than the checkpoint was trained with: {', '.join(changed)}.")
        if isinstance(task._setup.schedule, str):
            for config in trainer.lr_scheduler_configs:
                resume_rates(config.scheduler)
