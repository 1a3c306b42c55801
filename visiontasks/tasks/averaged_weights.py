"""What is not averaged in a model of averaged weights, such as that of ``EMAWeightAveraging``."""

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_swa_avg_fn

from visiontasks.tasks.owned import OwnedCallback


class AveragedWeights(OwnedCallback):
    """Keeps constants and measured values, bit for bit, in the models that Lightning's callbacks average.

    These average all buffers, in rounded numbers: integers are truncated and constants drift, so that the model of the
    validations would not be the one that its checkpoint holds. Here values that are equal stay equal; integers and
    buffers that are not saved are those of the model in training; and before the averaging starts, all values are.
    """

    def __init__(self) -> None:
        self._unsaved: list[str] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adopt what was measured at the start of the fit, or is not in the checkpoint."""
        saved = pl_module.state_dict(keep_vars=True)
        self._unsaved = [name for name, _ in pl_module.named_buffers() if name not in saved]
        for average in _averaged_models(trainer):
            if average.multi_avg_fn is None:
                average.avg_fn = _keep_equal(average.avg_fn or get_swa_avg_fn())
        self._adopt(trainer, pl_module)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 (as Lightning has it)
        batch: Any,  # noqa: ANN401 (as above)
        batch_idx: int,
    ) -> None:
        """Adopt what is not averaged."""
        self._adopt(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Adopt what is not averaged, also of an average over epochs."""
        self._adopt(trainer, pl_module)

    @torch.no_grad()
    def _adopt(self, trainer: Trainer, task: LightningModule) -> None:
        for average in _averaged_models(trainer):
            if average.n_averaged:
                _copy(map(average.module.get_buffer, self._unsaved), map(task.get_buffer, self._unsaved))
            else:
                _copy(_values(average.module), _values(task))


def _averaged_models(trainer: Trainer) -> list[AveragedModel]:
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    models = [callback._average_model for callback in callbacks if isinstance(callback, WeightAveraging)]
    return [model for model in models if model is not None]


def _keep_equal(average: Callable[..., Any]) -> Callable[..., Tensor]:
    def averaged(old: Tensor, new: Tensor, count: Any) -> Tensor:  # noqa: ANN401 (a number or a tensor)
        return torch.where(old == new, old, average(old, new, count)) if old.is_floating_point() else new

    return averaged


def _values(model: nn.Module) -> Iterable[Tensor]:
    return chain(model.parameters(), model.buffers())


def _copy(to: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for target, value in zip(to, values, strict=True):
        target.copy_(value)
