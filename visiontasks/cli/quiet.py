"""Warnings of underlying libraries that a user of the command line can do nothing about."""

import logging
import warnings


def quiet() -> None:
    """Silence, one by one, the warnings of underlying libraries that a user can do nothing about."""
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
    # A frozen backbone is in evaluation mode on purpose.
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start of training")
    # Data in memory need no workers.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_worth_reading)


_SAYS_NOTHING = (
    "💡 Tip:",  # advertises another product at every start
    "TPU available: False",
    "Loading `train_dataloader` to estimate",
    "`Trainer.fit` stopped: `max_epochs=",  # as asked for
    "Using bfloat16 Automatic Mixed Precision",  # ours names the precision, and why
)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(_SAYS_NOTHING)
