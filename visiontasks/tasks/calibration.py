"""Tasks whose temperature and thresholds are fitted to validation data."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.heads.decision import Decision
from visiontasks.metrics.empty_states import fill_empty_states
from visiontasks.metrics.gathered import Gathered
from visiontasks.tasks.arguments import plain
from visiontasks.tasks.base import Task
from visiontasks.tasks.record import RECORD


class CalibratedTask(Task, ABC):
    """A task that predicts classes with a temperature and thresholds that can be fitted.

    They are fitted after every validation of a fit, to the outputs of that validation (of its first loader, if there
    are several), so that every checkpoint holds the values for its own weights. The validation itself does not use
    them: it evaluates the plain network.

    Args:
        **kwargs: Arguments of :class:`~visiontasks.tasks.base.Task`.

    Attributes:
        decision: Converts logits to predictions; set by the constructor of a subclass.
    """

    decision: Decision

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 (the arguments of Task)
        super().__init__(**kwargs)
        self.validated = Gathered()
        self._fitted: dict[str, Tensor] = {}

    @abstractmethod
    def class_logits(self, outputs: Any) -> Tensor:  # noqa: ANN401 (each task has its own)
        """Select from the raw outputs the logits that the decision is based on."""

    @property
    def _measuring(self) -> bool:
        """Whether this is a validation that the decision is fitted to."""
        return self.fitting and not self.trainer.sanity_checking

    def on_validation_epoch_start(self) -> None:
        """Reset the decision for a validation within a fit, which evaluates the plain network."""
        super().on_validation_epoch_start()
        if self._measuring:
            self.decision.reset()
            self.validated.reset()

    def observe(self, outputs: Any, batch: Any) -> None:  # noqa: ANN401 (as in the base)
        """Store the outputs of a validation that the decision is fitted to."""
        if self.decision.fitted and self._measuring and not self.loader_index:
            self.validated.update(self.class_logits(outputs), batch.labels)

    def on_validation_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (as in Lightning)
        """Fit the decision after the last batch, while weights averaged by a callback are still in place."""
        if self.decision.fitted and self._measuring and self.last_evaluated:
            fill_empty_states([self.validated])
            self._fitted = self.decision.fit(*self.validated.compute())
            self.validated.reset()

    def on_validation_epoch_end(self) -> None:
        """Log losses, metrics and the fitted values."""
        super().on_validation_epoch_end()
        for name, value in self._fitted.items():
            named = self._per_class(f"val/{name}", value) if value.ndim else {f"val/{name}": value}
            self._log_epoch(named, prog_bar=False)
        self._fitted = {}

    def on_fit_start(self) -> None:
        """See the base class; also check that there is validation data to fit to.

        Raises:
            ArgumentError: If there is none.
        """
        super().on_fit_start()
        if self.decision.fitted and not self.trainer.enable_validation:
            message = (
                f"{' and '.join(self.decision.fitted)} would be fitted to validation data, and there are none. Train "
                "with a validation loader, or leave out calibrate and thresholds='best_f1'."
            )
            raise ArgumentError(message)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See the base class; also save the requested thresholds next to the fitted ones."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[RECORD]["thresholds"] = plain(self.hparams.get("thresholds"))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See the base class; newly given thresholds take precedence over those of the checkpoint."""
        super().on_load_checkpoint(checkpoint)
        given = checkpoint.get(RECORD, {}).get("thresholds")
        if given is not None and given != plain(self.hparams.get("thresholds")):
            checkpoint["state_dict"]["decision.thresholds"] = self.decision.thresholds.clone()
