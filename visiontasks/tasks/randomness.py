"""The random state of each training step, which a resumed training repeats."""

import hashlib
import os
import random
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer

from visiontasks.tasks.owned import OwnedCallback


def seed_step(device: torch.device, *key: int) -> None:
    """Seed the global generators of Python, NumPy and torch, on the CPU and on one device.

    ``torch.manual_seed`` also looks at every other device, which takes a hundred times as long.

    Args:
        device: The device that the training computes on.
        *key: Numbers that determine the random state.
    """
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
    seed = int.from_bytes(digest, "big") % 2**63
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (the global state, which code of others draws from)
    torch.default_generator.manual_seed(seed)
    if device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


class StepRandomness(OwnedCallback):
    """Seeds each training step, so that its random numbers do not depend on what happened before.

    The random state of a step follows from the seed of the run, the epoch, the batch (also of batches whose gradients
    are accumulated) and the process. It holds for everything that draws from the global generators of torch (CPU and
    device), NumPy and Python from here to the end of the step: dropout, stochastic depth, the samplers of a detector,
    mixed images, corruption, variational codes, and whatever a subclass draws in ``training_step``. Validations and
    other callbacks cannot shift it, and a training that was interrupted anywhere repeats it.

    Not covered are random numbers drawn before the step starts: by a data set or loader of your own, or in
    ``on_after_batch_transfer``.

    The seed of the run is that of ``seed_everything``, or else of the checkpoint that a fit goes on from, or else
    torch's: that of ``torch.manual_seed``, or the random one that every process starts with.

    Attributes:
        seed: The seed of the run; None before a fit.
    """

    def __init__(self) -> None:
        self.seed: int | None = None
        self._resumed: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the seed, for the checkpoint."""
        return {} if self.seed is None else {"seed": self.seed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Adopt the seed of the checkpoint."""
        self._resumed = state_dict["seed"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose the seed, the same on all processes."""
        # seed_everything stores its seed there for the processes that the Trainer starts.
        given, resumed = os.environ.get("PL_GLOBAL_SEED"), self._resumed
        seed = int(given) if given is not None else torch.initial_seed() if resumed is None else resumed
        self.seed, self._resumed = trainer.strategy.broadcast(seed), None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 (as in Lightning)
        """Seed the step."""
        assert self.seed is not None
        seed_step(pl_module.device, self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
