"""Parameters that a callback unfreezes while a task is trained."""

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_info
from torch.optim import Optimizer

from visiontasks.backbones.backbone import Freeze
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.tasks.optimization import schedulers_of, settle_joined_groups
from visiontasks.tasks.owned import OwnedCallback
from visiontasks.tasks.record import replace_hyperparameters

if TYPE_CHECKING:
    import visiontasks.tasks.task
    from visiontasks.tasks.task import Task


class Unfreezing(OwnedCallback):
    """Trains what a callback such as ``BackboneFinetuning`` has unfrozen like the rest.

    Args:
        freeze: What the task freezes, see :meth:`~visiontasks.backbones.Backbone.freeze`.
        norms: Whether it freezes all batch norms.
    """

    def __init__(self, freeze: Freeze, norms: bool) -> None:
        self.freeze, self.norms = freeze, norms
        self._groups: int | None = None
        self._joined = 0
        self._sizes: list[int] = []

    def freeze_backbone(self, task: "visiontasks.tasks.task.Task") -> None:
        """Freeze what the task freezes, and note for its checkpoints whether that includes the norms.

        Args:
            task: The task.
        """
        task.backbone.freeze(self.freeze, self.norms)
        replace_hyperparameters(task, freeze_norms=self.norms)

    def begin(self, optimizer: Optimizer) -> None:
        """Note the parameter groups that the optimiser was created with.

        Args:
            optimizer: The optimiser.
        """
        self._groups, self._joined = len(optimizer.param_groups), 0

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Note how many parameters the checkpoint's optimiser has in its groups."""
        states = checkpoint.get("optimizer_states") or [{"param_groups": []}]
        self._sizes = [len(group["params"]) for group in states[0]["param_groups"]]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore parameter groups that had been added before the training was interrupted.

        Raises:
            ArgumentError: If a callback conflicts with the frozen parameters.
            CheckpointError: If training would be resumed with other parameters than before.
        """
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        frozen = self.norms or self.freeze != "none"
        if frozen and any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
            message = (
                "StochasticWeightAveraging measures the statistics of all batch norms anew, of which the frozen ones "
                "would be left without any. Use EMAWeightAveraging, or freeze='none' and freeze_norms=False."
            )
            raise ArgumentError(message)
        self._settle(trainer, cast("Task", pl_module))
        sizes = [len(group["params"]) for group in trainer.optimizers[0].param_groups]
        if trainer.ckpt_path and self._sizes and sizes != self._sizes:
            message = (
                f"The checkpoint's optimiser has {self._sizes} parameters in its groups, this one {sizes}: "
                "its state does not fit. Go on with the same freeze, backbone_lr_factor, layer_decay and callbacks; or "
                "start a new training from the weights, with load_from_checkpoint, or of the backbone alone with "
                "backbone_weights."
            )
            raise CheckpointError(message)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set up training of what a callback has unfrozen, and say that it is trained from now on."""
        before = self._joined
        self._settle(trainer, cast("Task", pl_module))
        if self._joined != before:
            parameters = list(pl_module.parameters())
            trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
            rank_zero_info(
                f"Epoch {trainer.current_epoch}: a callback has unfrozen layers. From now on {trained:,} of "
                f"{sum(parameter.numel() for parameter in parameters):,} parameters are trained."
            )

    def _settle(self, trainer: Trainer, task: "visiontasks.tasks.task.Task") -> None:
        optimizer = trainer.optimizers[0]
        if self._groups is None or len(optimizer.param_groups) == self._groups:
            return
        schedulers = schedulers_of(trainer, optimizer)
        settle_joined_groups(optimizer, schedulers, self._groups)
        joined = [parameter for group in optimizer.param_groups[self._groups :] for parameter in group["params"]]
        task.backbone.unfreeze(joined)
        strategy = trainer.strategy
        if len(joined) != self._joined and isinstance(strategy, DDPStrategy):
            # DistributedDataParallel averages only gradients of parameters that required them when it was created.
            strategy.model = task
            strategy.configure_ddp()
        self._joined = len(joined)
