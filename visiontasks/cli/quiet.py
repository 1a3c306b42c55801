"""Warnings on the command line: those that a user can do nothing about, and how the others are written."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path

from visiontasks.cli.advice import in_flags

_PACKAGE = str(Path(__file__).parents[1])


def quiet() -> None:
    """Silence, one by one, the warnings of others that a user can do nothing about, and write ours plainly."""
    if getattr(warnings.formatwarning, "__module__", "") != __name__:
        warnings.formatwarning = _plainly(warnings.formatwarning)
    # Lightning 2.6 uses torch's pytree in a way that torch 2.10 and later deprecate (pytorch-lightning#21326).
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    # Fewer batches than the log interval: the means of the epoch are logged anyway, only train/loss_step is not.
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    # The model summary counts bytes of float32 parameters, which is also correct in mixed precision.
    warnings.filterwarnings("ignore", message=".*not supported by the model summary.*")
    # A resumed run has its own run folder, and evaluating a checkpoint needs no checkpoint callback.
    warnings.filterwarnings("ignore", message="The dirpath has changed from")
    warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")
    # Our metrics are synchronised over all processes before they are logged; averaging again would change nothing.
    warnings.filterwarnings("ignore", message=".*sync_dist=True.*when logging on epoch level.*")
    # Without any validation there is no best checkpoint, which is said at the start and at the end.
    warnings.filterwarnings("ignore", message=r"`ModelCheckpoint\(monitor='val/.*could not find the monitored key")
    # A frozen backbone is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
    # Data in memory need no workers.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_worth_reading)


def _plainly(others: Callable[..., str]) -> Callable[..., str]:
    """Return a format for warnings: those of this package as a sentence in the words of the command line."""

    def formatted(message: Warning | str, category: type[Warning], filename: str, *place: int | str | None) -> str:
        if filename.startswith(_PACKAGE):
            return f"warning: {in_flags(str(message))}\n"
        return others(message, category, filename, *place)

    return formatted


_SAYS_NOTHING = (
    "💡 Tip:",  # advertises another product at every start
    "TPU available: False",
    "Loading `train_dataloader` to estimate",
    "`Trainer.fit` stopped: `max_epochs=",  # as asked for
    "Using bfloat16 Automatic Mixed Precision",  # ours names the precision, and why
)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_SAYS_NOTHING)
