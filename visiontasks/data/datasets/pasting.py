"""The sample of which objects are pasted into another one."""

from collections.abc import Callable
from random import Random
from typing import NamedTuple, TypeVar

from visiontasks.data.datasets.file_dataset import FileDataset, sample_seed
from visiontasks.errors import UnreadableFileError

SampleT = TypeVar("SampleT", bound=NamedTuple)


def paste_source(
    dataset: FileDataset[SampleT], index: int, epoch: int, annotated: Callable[[int, int], SampleT]
) -> tuple[SampleT, Random] | None:
    """Draw whether objects of another sample are pasted into a sample, and of which.

    Args:
        dataset: The data set, whose augmentation says how often.
        index: Position of the sample.
        epoch: Number of passes over the data set before this one.
        annotated: Makes a sample, of an index and an epoch, into which nothing is pasted.

    Returns:
        The other sample, and the random generator to go on with; None if nothing is pasted.
    """
    random = Random(f"copy-paste {sample_seed(dataset.seed, epoch, index)}")
    if dataset.augmentation is None or random.random() >= dataset.augmentation.pasted:
        return None
    other = (index + random.randint(1, max(1, len(dataset) - 1))) % len(dataset)
    if dataset.left_out[other]:
        return None
    try:
        return annotated(other, random.getrandbits(31)), random
    except UnreadableFileError:
        if dataset.on_error == "raise":
            raise
        return None
