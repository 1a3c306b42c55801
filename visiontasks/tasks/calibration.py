"""Temperature and thresholds that are fitted to validation data."""

from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from visiontasks.arguments import plain
from visiontasks.errors import ArgumentError
from visiontasks.heads.decision import Decision
from visiontasks.metrics.empty_states import fill_empty_states
from visiontasks.metrics.gathered import Gathered
from visiontasks.tasks.loaders import is_last_batch, loader_index
from visiontasks.tasks.owned import OwnedCallback
from visiontasks.tasks.scores import log_value

if TYPE_CHECKING:
    from visiontasks.tasks.task import Task


class Calibration(OwnedCallback):
    """Fits a decision after every validation of a fit.

    It is fitted to the outputs of that validation (of its first loader, if there are several), so that every checkpoint
    holds the values for its own weights. The validation itself does not use them: it evaluates the plain network.

    Args:
        decision: Converts logits to predictions.
    """

    def __init__(self, decision: Decision) -> None:
        self.decision = decision
        self.validated = Gathered()
        self._fitted: dict[str, Tensor] = {}

    def update(self, trainer: Trainer, logits: Tensor, labels: Tensor) -> None:
        """Store the outputs of an evaluated batch, if the decision is fitted to this evaluation.

        Args:
            trainer: The Trainer.
            logits: The logits that the decision is based on.
            labels: The class of each image, or whether it has each class.
        """
        if self.decision.fitted and _measuring(trainer) and not loader_index(trainer):
            self.validated.update(logits, labels)

    def before_weights(self, task: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Let newly given thresholds take precedence over those of the checkpoint."""
        saved = checkpoint.get(task.CHECKPOINT_HYPER_PARAMS_KEY, {})
        if "thresholds" in saved and plain(saved["thresholds"]) != plain(task.hparams.get("thresholds")):
            checkpoint["state_dict"]["decision.thresholds"] = self.decision.thresholds.clone()

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that there is validation data to fit to.

        Raises:
            ArgumentError: If there is none.
        """
        if self.decision.fitted and not trainer.enable_validation:
            message = (
                f"{' and '.join(self.decision.fitted)} would be fitted to validation data, and there are none. Train "
                "with a validation loader, or leave out calibrate and thresholds='best_f1'."
            )
            raise ArgumentError(message)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the decision for a validation within a fit, which evaluates the plain network."""
        if _measuring(trainer):
            self.decision.reset()
            self.validated.to(pl_module.device).reset()

    def on_validation_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (as in Lightning)
        """Fit the decision after the last batch, while weights averaged by a callback are still in place."""
        if self.decision.fitted and _measuring(trainer) and is_last_batch(trainer):
            fill_empty_states([self.validated])
            self._fitted = self.decision.fit(*self.validated.compute())
            self.validated.reset()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the fitted values."""
        for name, value in self._fitted.items():
            log_value(cast("Task", pl_module), f"val/{name}", value)
        self._fitted = {}


def _measuring(trainer: Trainer) -> bool:
    """Whether this is a validation that the decision is fitted to."""
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
