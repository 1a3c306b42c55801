"""The flag that limits how long processes wait for one another."""

from datetime import timedelta

from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from visiontasks.errors import ArgumentError

_SECONDS = 1800.0


def add_flag(parser: LightningArgumentParser) -> None:
    """Add the flag."""
    help_text = "Seconds that a process waits for the others of a training on several devices before it ends."
    parser.add_argument("--collective_timeout", type=float, default=_SECONDS, help=help_text)


def limit_waiting(trainer: Trainer, seconds: float) -> None:
    """Limit how long processes wait for one another; they have not been started yet.

    Args:
        trainer: A Trainer whose strategy was given by name, or not at all; one that was created with arguments of its
            own has a ``timeout`` among them.
        seconds: The limit, above 0.

    Raises:
        ArgumentError: If it is not.
    """
    if not seconds > 0:
        message = f"--collective_timeout is {seconds:g}; expected seconds, more than 0."
        raise ArgumentError(message)
    if hasattr(trainer.strategy, "_timeout"):
        trainer.strategy._timeout = timedelta(seconds=seconds)
