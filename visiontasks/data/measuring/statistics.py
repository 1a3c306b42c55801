"""Statistics of images in files: of pixels, in one streaming pass whose result is cached, and of classes."""

import hashlib

import numpy as np
import torch
from tqdm import tqdm

from visiontasks.data.augmentation.resizing import Resizing, Stretch
from visiontasks.data.datasets.tasks import AutoencodingDataset
from visiontasks.data.images.reading import Reading
from visiontasks.data.index.cache import cache_folders
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.processes import on_first_process
from visiontasks.data.loading.samplers import EvaluationSampler
from visiontasks.description import ClassCounts, Statistics
from visiontasks.errors import DataError
from visiontasks.files import replacing


def count_classes(index: ImageIndex, *, of_first: bool) -> ClassCounts:
    """Count all images and the images with each class, by their annotations.

    Args:
        index: The images.
        of_first: Whether an image counts for the class of its first object only.
    """
    if of_first:
        labels = index.labels[index.offsets[:-1]]
    else:
        owners = np.repeat(np.arange(len(index)), np.diff(index.offsets))
        labels = np.unique(np.column_stack((owners, index.labels)), axis=0)[:, 1]
    counts = np.bincount(labels, minlength=len(index.class_names)).astype(np.int64)
    return ClassCounts(len(index), torch.from_numpy(counts))


def load_statistics(
    index: ImageIndex, reading: Reading, resizing: Resizing, workers: int = 0, *, skip: bool = False
) -> Statistics:
    """Measure pixel statistics, or read the result of an earlier call.

    The result is stored with the index of the annotations. It is used as long as the names, sizes and modification
    times of the images, how they are read and their size in a batch are unchanged. If there are several processes, the
    first one measures and sends the result to the others.

    Args:
        index: The images.
        reading: How files are read.
        resizing: How images are brought to their size; must not be random.
        workers: Number of processes that read images.
        skip: Whether files that cannot be read are left out.

    Raises:
        DataError: If a file cannot be read.
    """
    return on_first_process(lambda: _cached(index, reading, resizing, workers, skip))


def measure(
    index: ImageIndex, reading: Reading, resizing: Resizing, workers: int = 0, *, skip: bool = False
) -> Statistics:
    """Measure pixel statistics in one pass.

    Every pixel has the same weight, so that a large image counts more than a small one.

    Args:
        index: The images.
        reading: How files are read.
        resizing: How images are brought to their size.
        workers: Number of processes that read images.
        skip: Whether files that cannot be read are left out.

    Returns:
        Mean and standard deviation of each channel, and the mean image if ``resizing`` has a fixed size.

    Raises:
        DataError: If a file cannot be read, or there are no images.
    """
    fixed = resizing.size if isinstance(resizing, Stretch) else None
    dataset = AutoencodingDataset(index, reading=reading, resizing=resizing, on_error="skip" if skip else "raise")
    # Images of different sizes are read one by one; otherwise padding would be measured, too.
    sampler = EvaluationSampler(dataset, 16 if fixed else 1, num_replicas=1, rank=0)
    total = torch.zeros(reading.channels, *(fixed or (1, 1)), dtype=torch.float64)
    squares = torch.zeros(reading.channels, dtype=torch.float64)
    images = pixels = 0
    with tqdm(desc="pixel statistics", total=len(index), unit=" images", disable=None) as bar:
        for batch in BatchLoader(dataset, sampler, workers):
            values = batch.images.double() / 255
            total += values.sum(0) if fixed else values.sum((0, 2, 3))[:, None, None]
            squares += values.square().sum((0, 2, 3))
            images += len(values)
            pixels += values[:, 0].numel()
            bar.update(len(values))
    if not pixels:
        message = f"None of the {len(index)} images below {str(index.root)!r} could be read; nothing was measured."
        raise DataError(message)
    mean = total.sum((1, 2)) / pixels
    std = (squares / pixels - mean.square()).clamp(min=0).sqrt()
    return Statistics(mean.float(), std.float(), (total / images).float() if fixed else None)


def _cached(index: ImageIndex, reading: Reading, resizing: Resizing, workers: int, skip: bool) -> Statistics:
    name = f"statistics-{_digest(index, reading, resizing)}.npz"
    folders = cache_folders(index.root)
    for folder in folders:
        try:
            with np.load(folder / name, allow_pickle=False) as stored:
                arrays = {key: torch.from_numpy(stored[key]) for key in stored.files}
            return Statistics(arrays["mean"], arrays["std"], arrays.get("mean_image"))
        except (OSError, ValueError, KeyError, EOFError):
            continue
    statistics = measure(index, reading, resizing, workers, skip=skip)
    for folder in folders:
        try:
            values = {key: value.numpy() for key, value in statistics._asdict().items() if value is not None}
            with replacing(folder / name) as part, part.open("wb") as opened:
                np.savez(opened, **values)
            break
        except OSError:  # not writable, or no space: the next run measures again
            continue
    return statistics


def _digest(index: ImageIndex, reading: Reading, resizing: Resizing) -> str:
    """Compute a digest of everything that the result depends on."""
    digest = hashlib.sha256(f"{reading} {resizing}".encode())
    for image in range(len(index)):
        file = index.file(image)
        stat = file.stat() if file.exists() else None
        digest.update(repr((str(file), stat and (stat.st_size, stat.st_mtime_ns))).encode(errors="surrogateescape"))
    return digest.hexdigest()[:24]
