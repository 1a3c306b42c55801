"""Which of several loaders a validation or test is at."""

from typing import Any

from lightning.pytorch import Trainer


def loader_count(trainer: Trainer) -> int:
    """Return the number of loaders that are evaluated."""
    loop: Any = trainer._evaluation_loop
    count: int = loop.num_dataloaders
    return count


def loader_index(trainer: Trainer) -> int | None:
    """Return the index of the loader that is evaluated, if there are several; None if there is one."""
    results: Any = trainer._results
    index: int | None = results.dataloader_idx
    return index


def is_last_batch(trainer: Trainer) -> bool:
    """Return whether the current or just evaluated batch is the last one of all loaders."""
    loop: Any = trainer._evaluation_loop
    return bool(loop.batch_progress.is_last_batch)


def ends_loader(trainer: Trainer, batch_idx: int) -> bool:
    """Return whether the current batch is the last one of its loader.

    Args:
        trainer: The Trainer.
        batch_idx: Index of the batch in its loader.
    """
    index = loader_index(trainer)
    if index is None or is_last_batch(trainer):
        return is_last_batch(trainer)
    loop: Any = trainer._evaluation_loop
    # Of loaders without a length, Lightning fetches one batch in advance.
    following = getattr(loop._data_fetcher, "batches", None)
    return bool(following[0][2] != index if following else batch_idx + 1 >= loop.max_batches[index])
