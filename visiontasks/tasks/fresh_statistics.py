"""Statistics of batch norm that are right from the first step on."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from visiontasks.backbones.backbone import BATCH_NORMS, BatchNorm
from visiontasks.tasks.owned import OwnedCallback


class FreshStatistics(OwnedCallback):
    """Lets the statistics that batch norm evaluates with begin with those of the first batch.

    Ioffe and Szegedy, Batch normalization (ICML 2015), section 3.1, evaluate with moving averages. Torch's begin with a
    mean of 0 and a variance of 1, of which 12 % are left after 20 steps: where activations have a variance of 0.01, the
    network is another one in evaluation. Here the first step is corrected for that beginning as Adam corrects its
    moments (Kingma and Ba, ICLR 2015, section 3). Layers that have statistics, or are frozen, keep theirs.
    """

    def __init__(self) -> None:
        self._waiting: list[BatchNorm] | None = None
        self._fresh: list[BatchNorm] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 (as Lightning has it)
        """Before the first step of a layer, which may be frozen at first, let it begin with zeros."""
        self.begin(pl_module)

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After that step, scale."""
        self.complete()

    def begin(self, network: nn.Module) -> None:
        """Set the statistics of layers that are trained for the first time to zeros; to be called before each step."""
        if self._waiting is None:
            norms = (layer for layer in network.modules() if isinstance(layer, BATCH_NORMS))
            self._waiting = [layer for layer in norms if _is_fresh(layer)]
        self._fresh = [layer for layer in self._waiting if layer.training]
        self._waiting = [layer for layer in self._waiting if not layer.training]
        for layer in self._fresh:
            assert layer.running_var is not None
            layer.running_var.zero_()

    @torch.no_grad()
    def complete(self) -> None:
        """Scale the statistics by what a moving average from zero lacks; to be called when gradients are computed."""
        for layer in self._fresh:
            assert layer.num_batches_tracked is not None
            assert layer.momentum is not None
            assert layer.running_mean is not None
            assert layer.running_var is not None
            batches = int(layer.num_batches_tracked)
            if batches == 0:
                layer.running_var.fill_(1)
                continue
            share = 1 - (1 - layer.momentum) ** batches
            layer.running_mean.div_(share)
            layer.running_var.div_(share)
        self._fresh = []


def _is_fresh(layer: BatchNorm) -> bool:
    """Whether a layer learns statistics, and has none yet."""
    if not layer.track_running_stats or not layer.momentum:
        return False
    assert layer.num_batches_tracked is not None
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return not layer.num_batches_tracked and not layer.running_mean.any() and bool((layer.running_var == 1).all())
