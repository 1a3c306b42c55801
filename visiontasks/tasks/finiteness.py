"""No update with a loss or a gradient that is infinite or NaN."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer

from visiontasks.errors import ArgumentError, NonFiniteLossError
from visiontasks.tasks.arriving import Arriving
from visiontasks.tasks.optimization import ends_search
from visiontasks.tasks.owned import OwnedCallback

_NAMED = 3


class _Update(NamedTuple):
    """What is known about the batches whose gradients make up an update.

    Attributes:
        step: Number of updates before it.
        batches: Ids of the images and terms of the loss of each batch, as far as the training step has stated them.
        losses: What was differentiated.
        parameters: The parameters that have a gradient.
        sizes: Norm of each of their gradients, as far as they were kept.
    """

    step: int
    batches: Sequence[tuple[Tensor, Mapping[str, Tensor]]]
    losses: Sequence[Tensor]
    parameters: Sequence[Tensor]
    sizes: Sequence[Tensor]


class _Pending(NamedTuple):
    """An update whose flag is on its way to the host."""

    update: _Update
    optimizer: Any
    bad: Arriving


class FiniteUpdates(OwnedCallback):
    """Checks loss and gradient before every update of the weights.

    On the CPU the update of a value that is not finite is left out directly. On a GPU the host does not wait: the
    optimiser leaves the update out on the device (torch's Adam, AdamW and SGD do so if they are ``fused``, which is
    the default of a task), and the training stops one step later. With another optimiser, or if batches may be
    skipped, the host waits for the flag in every step.

    Gradients are averaged over processes before they are checked, and a loss that is not finite spreads to the gradient
    of all, so all processes decide alike. With accumulated gradients the whole update is left out.

    With ``precision="16-mixed"`` a gradient that overflows is normal: Lightning's scaler leaves out the update and
    lowers its scale. Only a loss that is not finite then counts.

    A skipped batch changes neither weights, nor the state of the optimiser, nor buffers such as the statistics of batch
    norm. It counts as a step, also of the schedule. ``train/skipped``, the number of skipped updates so far, is logged
    at the end of an epoch in which there were any.

    Args:
        limit: Number of updates in a row that may be skipped before the training stops.

    Raises:
        ArgumentError: If the limit is negative.
    """

    def __init__(self, limit: int = 0) -> None:
        if limit < 0:
            message = f"skip_nonfinite is {limit}; expected the number of batches in a row that may be skipped, or 0."
            raise ArgumentError(message)
        self.limit = limit
        self.skipped = self.in_a_row = 0
        self._resumed = (0, 0)
        self._clear()
        self._buffers: list[tuple[Tensor, Tensor]] = []
        self._left_out: list[bool] = []
        self._pending: _Pending | None = None

    def note(self, ids: Tensor, terms: Mapping[str, Tensor]) -> None:
        """Remember the images and the terms of the loss of a batch, for the message.

        Args:
            ids: Ids of the images.
            terms: The terms by name.
        """
        self._batches.append((ids, {name: term.detach() for name, term in terms.items()}))

    def state_dict(self) -> dict[str, Any]:
        """Return the counts, for the checkpoint."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row} if self.skipped else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Adopt the counts of the checkpoint."""
        self._resumed = state_dict["skipped"], state_dict["in_a_row"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting, or go on with the counts of the checkpoint."""
        (self.skipped, self.in_a_row), self._resumed = self._resumed, (0, 0)
        self._clear()
        self._pending = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 (as in Lightning)
        """Keep the buffers if the batch may be skipped."""
        if self.limit and not self._losses:
            self._buffers = [(buffer, buffer.clone()) for buffer in pl_module.buffers()]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Keep the loss, and let it spread to the gradients that others see."""
        kept = loss.detach()
        self._losses.append(kept)
        if loss.requires_grad and (trainer.world_size > 1 or scaler_of(trainer) is not None):
            # 0 if the loss is finite, otherwise NaN.
            loss.register_hook((0 * kept).add)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Leave the update out if it is not finite.

        Raises:
            NonFiniteLossError: If no more updates may be skipped.
        """
        self._read_pending(pl_module)
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        update = _Update(trainer.global_step, self._batches, self._losses, parameters, ())
        self._clear()
        scaler = scaler_of(trainer)
        if not self.limit and scaler is None and parameters and _can_leave_out(optimizer):
            self._pending = _leave_out_on_device(update, optimizer)
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        if _all_finite([*update.losses, *gradients]):
            self._left_out.append(False)
            return
        bad_gradient = not _all_finite(gradients)
        bad = scaler is None or not _all_finite(list(update.losses))
        self._left_out.append(bad)
        if not bad:
            return
        # A loss that no gradient depends on is known to one process alone, or not to the scaler.
        alone = not bad_gradient and (trainer.world_size > 1 or scaler is not None)
        if alone or self.in_a_row >= self.limit:
            _stop(update, pl_module)
            self._undo(parameters, scaler)
            return
        self.skipped += 1
        rank_zero_warn(f"{_message(update, pl_module)} Skipped.")
        pl_module.log(
            "train/skipped",
            float(self.skipped),
            on_step=False,
            on_epoch=True,
            sync_dist=scaler is None,
            reduce_fx="max",
        )
        self._undo(parameters, scaler)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 (as in Lightning)
        batch: Any,  # noqa: ANN401 (as in Lightning)
        batch_idx: int,
    ) -> None:
        """Count the batches that were skipped in a row."""
        if self._left_out:
            self.in_a_row = self.in_a_row + 1 if any(self._left_out) else 0
            self._left_out = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last update before the weights are validated."""
        self._read_pending(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the last update before checkpoints are written."""
        self._read_pending(pl_module)

    def _undo(self, parameters: Sequence[Tensor], scaler: object) -> None:
        for buffer, before in self._buffers:
            buffer.copy_(before)
        if scaler is None:
            for parameter in parameters:
                parameter.grad = None

    def _clear(self) -> None:
        self._batches: list[tuple[Tensor, Mapping[str, Tensor]]] = []
        self._losses: list[Tensor] = []

    def _read_pending(self, pl_module: LightningModule) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        del pending.optimizer.found_inf
        if pending.bad.item():
            _stop(pending.update, pl_module)


def scaler_of(trainer: Trainer) -> Any:  # noqa: ANN401 (None, or torch's)
    """Return the scaler of the gradients in float16, which leaves out updates by itself; None without one."""
    return getattr(trainer.precision_plugin, "scaler", None)


def _can_leave_out(optimizer: Optimizer) -> bool:
    """Whether the optimiser computes on a GPU and leaves out an update there if its ``found_inf`` is 1."""
    groups = optimizer.param_groups
    return (
        type(optimizer) in (Adam, AdamW, SGD)
        and all(group.get("fused") for group in groups)
        and all(parameter.is_cuda for group in groups for parameter in group["params"])
    )


def _leave_out_on_device(update: _Update, optimizer: Any) -> _Pending:  # noqa: ANN401 (of torch, with an attribute that is not declared)
    gradients = [parameter.grad for parameter in update.parameters]
    sizes = torch._foreach_norm(gradients, math.inf)  # type: ignore[arg-type]  # none of them is None
    bad = ~torch.stack([*sizes, *update.losses]).isfinite().all()
    # As torch's GradScaler tells the optimiser; see its attribute _step_supports_amp_scaling.
    optimizer.found_inf = bad.float()
    return _Pending(update._replace(sizes=sizes), optimizer, Arriving(bad))


def _all_finite(tensors: list[Tensor]) -> bool:
    """Whether all values are finite; waits for the device."""
    if not tensors:
        return True
    if tensors[0].device.type == "cpu":
        # The squares of finite values may overflow, but this norm is ten times as fast as the largest value.
        sizes = torch._foreach_norm(tensors)
        return all(math.isfinite(size.item()) for size in sizes) or all(bool(x.isfinite().all()) for x in tensors)
    return bool(torch.stack(torch._foreach_norm(tensors, math.inf)).isfinite().all())


def _stop(update: _Update, pl_module: LightningModule) -> None:
    """End a search for a learning rate, which is to find where training diverges; any other training is an error."""
    if not ends_search(pl_module.trainer):
        raise NonFiniteLossError(_message(update, pl_module))


def _message(update: _Update, pl_module: LightningModule) -> str:
    batches = [(ids, terms) for ids, terms in update.batches if not _all_finite(list(terms.values()))] or update.batches
    ids = [int(number) for ids, _ in batches for number in ids]
    images = f" for the images with ids {ids}" if ids else ""
    if pl_module.trainer.world_size > 1:
        images += " of this process, or for those of another"
    if _all_finite(list(update.losses)):
        what, values = "gradient", _bad_gradients(update, pl_module)
    else:
        what = "loss"
        terms = batches[0][1] if batches else {}
        values = ", ".join(f"{name} {term.item()}" for name, term in terms.items()) or "nan or infinite"
    return (
        f"The {what} is not finite at step {update.step} ({values}){images}; the weights were not updated with it. "
        "Lower the learning rate, or look at these images."
    )


def _bad_gradients(update: _Update, pl_module: LightningModule) -> str:
    """Name the first parameters whose gradient is not finite."""
    names = {id(parameter): name for name, parameter in pl_module.named_parameters()}
    sizes = update.sizes or [torch.zeros(()) if p.grad is None else p.grad.norm(math.inf) for p in update.parameters]
    bad = [
        f"{names.get(id(parameter), 'a parameter')} {size.item()}"
        for parameter, size in zip(update.parameters, sizes, strict=True)
        if not size.isfinite()
    ]
    more = len(bad) - _NAMED
    return ", ".join(bad[:_NAMED]) + (f" and {more} more parameters" if more > 0 else "")
