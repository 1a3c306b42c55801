"""``visiontasks tune``: searches for a learning rate and a batch size, with the flags of ``fit``."""

import logging
import math
import tempfile
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any, Literal

from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.tuner import Tuner

from visiontasks.cli.hardware import keep_freed_memory
from visiontasks.cli.training import TrainingCLI
from visiontasks.errors import ArgumentError

Find = Literal["lr", "batch_size", "both"]

_FEWEST = 10
"""Fewest steps of falling loss that a learning rate is suggested from."""


class TuningCLI(TrainingCLI):
    """Searches instead of training; nothing of it is kept.

    Args:
        arguments: The command line after the command.
        folder: A temporary folder, in which Lightning saves the weights that it restores after a search.
    """

    def __init__(self, arguments: Sequence[str], folder: str) -> None:
        self.folder = folder
        super().__init__("tune", arguments)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the arguments of the search."""
        super().add_arguments_to_parser(parser)
        help_text = "The learning rate, the largest batch size that fits into memory, or first the size, then its rate."
        parser.add_argument("--find", type=Find, default="lr", help=help_text)
        parser.add_argument("--min_lr", type=float, default=1e-6, help="Learning rate of the first step.")
        parser.add_argument("--max_lr", type=float, default=1.0, help="Learning rate of the last step.")
        parser.add_argument("--steps", type=int, default=100, help="Steps from the one to the other.")
        help_text = "Largest batch size to try; never more than half of the training images."
        parser.add_argument("--max_batch_size", type=int, default=8192, help=help_text)

    def before_instantiate_classes(self) -> None:
        """Keep the run from leaving anything, and from ending or validating before the search does.

        Raises:
            ArgumentError: If the range of the search is empty, or there is a checkpoint to resume from.
        """
        config = self.config
        if config.ckpt_path is not None:
            message = "visiontasks tune searches for a training from the start; it takes no --ckpt_path."
            raise ArgumentError(message)
        if not 0 < config.min_lr < config.max_lr or config.steps < 2 * _FEWEST or config.max_batch_size < 1:
            message = (
                f"--min_lr is {config.min_lr:g}, --max_lr {config.max_lr:g}, --steps {config.steps} and "
                f"--max_batch_size {config.max_batch_size}; expected 0 < min_lr < max_lr, at least {2 * _FEWEST} "
                "steps, and a size of at least 1."
            )
            raise ArgumentError(message)
        config.wandb, config.report, config.shown = None, False, []
        kept = {"logger": False, "enable_checkpointing": False, "default_root_dir": self.folder, "callbacks": None}
        # The search sets its own end.
        endless = {"max_epochs": -1, "max_steps": config.steps, "max_time": None, "min_epochs": None, "min_steps": None}
        unwatched = {"num_sanity_val_steps": 0, "check_val_every_n_epoch": 10**9, "val_check_interval": None}
        for name, value in (kept | endless | unwatched | {"fast_dev_run": False}).items():
            setattr(config.trainer, name, value)
        super().before_instantiate_classes()

    def search(self) -> int:
        """Search, and print what was found as flags.

        Returns:
            The exit code: 0, or 1 if no learning rate can be suggested.
        """
        find = self.config_init.find
        flags = []
        if find != "lr":
            flags.append(f"--data.batch_size {self._batch_size()}")
        if find != "batch_size":
            rate = self._rate()
            if rate is None:
                print("No learning rate is suggested: the loss did not fall. Try another range (--min_lr, --max_lr).")
            else:
                flags.append(f"--model.optimizer.lr {rate:.2g}")
        if flags:
            print(f"Suggested: {' '.join(flags)}")
        return int(len(flags) < 1 + (find == "both"))

    def _rate(self) -> float | None:
        before = self.model.lr
        options = self.config_init
        finder: Any = Tuner(self.trainer).lr_find(
            self.model,
            datamodule=self.datamodule,
            min_lr=options.min_lr,
            max_lr=options.max_lr,
            num_training=options.steps,
            update_attr=False,
        )
        rates, losses = finder.results["lr"], unsmoothed(finder.results["loss"])
        rate = suggest_rate(rates, losses)
        print(f"Learning rate: {len(rates)} steps from {options.min_lr:g} to {rates[-1]:.2g}; so far it is {before:g}.")
        return rate

    def _batch_size(self) -> int:
        data = self.datamodule
        before = data.batch_size
        data.setup("fit")
        images, given = len(data.train_set), self.config_init.max_batch_size
        most = min(given, max(1, images // 2))
        largest = 1 << (most.bit_length() - 1)
        # Lightning returns the size at which it gives up without having tried it.
        suggested = Tuner(self.trainer).scale_batch_size(self.model, datamodule=data, init_val=1, max_val=2 * largest)
        size: int = min(int(suggested or before), largest)
        data.batch_size = size
        limit = (
            f"of --max_batch_size {given}" if most == given else f"a batch holds at most half of the {images} images"
        )
        bound = f"fits; larger ones were not tried, because {limit}"
        if size < largest:
            bound = "is the largest that fits into memory"
        print(f"Batch size: {size} {bound}; so far it is {before}.")
        return size


def unsmoothed(smoothed: Sequence[float]) -> list[float]:
    """Recover the losses of single steps from Lightning's running mean of them.

    Lightning divides the mean of step k by 1 - beta^(k + 1) instead of 1 - beta^k, so that the first values are half as
    large as they should be, and it averages over 50 steps, of 100 in all.

    Args:
        smoothed: The running mean, in which the previous one has a share of 0.98.

    Example:
        >>> [round(loss, 6) for loss in unsmoothed([0.02 * 5 / (1 - 0.98**2), (0.98 * 0.1 + 0.02 * 7) / (1 - 0.98**3)])]
        [5.0, 7.0]
    """
    beta = 0.98
    means = [0.0, *(value * (1 - beta ** (step + 2)) for step, value in enumerate(smoothed))]
    return [(mean - beta * previous) / (1 - beta) for previous, mean in pairwise(means)]


def suggest_rate(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """Suggest a learning rate from the losses at rising rates: in the middle of the longest fall of their running mean.

    This is the "valley" of fastai. Lightning's own suggestion, the steepest slope over the rate itself instead of its
    logarithm, is nearly always one of the first rates, whose losses differ by chance.

    Args:
        rates: The rates, in ascending order.
        losses: The loss of the step at each; what follows the first that is not finite is left out.

    Returns:
        A rate; None if the loss falls for fewer than ten steps.

    Example:
        >>> rates = [10.0**power for power in range(-20, 10)]
        >>> losses = [2 + step / 99 for step in range(10)] + [1.9 - step / 12 for step in range(12)] + [5.0] * 8
        >>> suggest_rate(rates, losses)
        1e-05
    """
    means: list[float] = []
    mean, beta = 0.0, 0.9
    for step, loss in enumerate(takewhile(math.isfinite, losses), 1):
        mean = beta * mean + (1 - beta) * loss
        means.append(mean / (1 - beta**step))
    # Length of the longest sequence of falling means that ends at each step.
    lengths: list[int] = []
    for end, last in enumerate(means):
        lengths.append(1 + max((lengths[i] for i in range(end) if means[i] > last), default=0))
    longest = max(lengths, default=0)
    return None if longest < _FEWEST else rates[lengths.index(longest) - longest // 2]


def main(command: str, arguments: Sequence[str]) -> int:
    """Search for a learning rate, a batch size, or both.

    Args:
        command: ``"tune"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0, or 1 if no learning rate can be suggested.
    """
    keep_freed_memory()
    # Its steps are reported by Lightning as if they were a training.
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return TuningCLI(arguments, folder).search()
    finally:
        logger.setLevel(level)
