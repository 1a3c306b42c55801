"""A limit to the size of an update's gradient, where the Trainer has none."""

from lightning.pytorch import LightningModule, Trainer
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from visiontasks.tasks.finiteness import scaler_of
from visiontasks.tasks.owned import OwnedCallback


class GradientClipping(OwnedCallback):
    """Scales gradients down to a norm, unless the Trainer has a ``gradient_clip_val``; 0 there turns it off.

    Args:
        limit: The greatest norm of the gradients of all parameters together.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Scale down the gradients, on a GPU without a wait."""
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if trainer.gradient_clip_val is not None or not parameters:
            return
        norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
        scaler = scaler_of(trainer)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            norm = norm / scaler.get_scale()  # such an optimiser takes the scale out of the gradients itself
        clip_grads_with_norm_(parameters, self.limit, norm)
