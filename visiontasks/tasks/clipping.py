"""A limit to the size of an update's gradient, where the Trainer has none."""

import torch
from lightning.pytorch import LightningModule, Trainer
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
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if trainer.gradient_clip_val is not None or not gradients:
            return
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        scaler = scaler_of(trainer)
        if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
            norm = norm / scaler.get_scale()  # such an optimiser takes the scale out of the gradients itself
        torch._foreach_mul_(gradients, (self.limit / (norm + 1e-6)).clamp(max=1.0))
