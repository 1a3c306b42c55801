"""Order of training samples: class balance, and batches of images of similar shape."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64, Int64, Integer
from torch import Tensor

from visiontasks.errors import ArgumentError


def class_balanced_weights(
    labels: Integer[np.ndarray, " objects"], offsets: Integer[np.ndarray, " bounds"]
) -> Float64[np.ndarray, " images"]:
    """Compute image weights by which rare classes are drawn as often as frequent ones.

    The weight of an image is that of its rarest class: one divided by the number of images with that class. Images
    without objects count as a separate class. With one class per image, every class is equally likely.

    Args:
        labels: Class of each object.
        offsets: Objects of image i are ``offsets[i]`` to ``offsets[i + 1]``.

    Returns:
        Weights of the images for :class:`~visiontasks.data.loading.samplers.TrainingSampler`.

    Raises:
        ArgumentError: If there are no objects.

    Example:
        >>> class_balanced_weights(np.array([0, 0, 0, 1]), np.array([0, 1, 2, 4])).tolist()
        [0.333..., 0.333..., 1.0]
    """
    image, label = _classes_of_images(labels, offsets, "balanced")
    weights = np.zeros(len(offsets) - 1)
    frequency: Int64[np.ndarray, " classes"] = np.bincount(label)
    np.maximum.at(weights, image, np.reciprocal(frequency.astype(np.float64))[label])
    without_objects = weights == 0
    weights[without_objects] = 1 / max(1, int(without_objects.sum()))
    return weights


def repeat_factors(
    labels: Integer[np.ndarray, " objects"], offsets: Integer[np.ndarray, " bounds"], threshold: float
) -> Float64[np.ndarray, " images"]:
    """Compute how often each image is repeated so that rare classes are seen more often.

    Repeat-factor sampling of Gupta et al. 2019, LVIS, section 4.1: ``r(c) = max(1, sqrt(t / f(c)))`` for a class that a
    fraction ``f(c)`` of the images show, and for an image the largest of its classes; 1 without objects.

    Args:
        labels: Class of each object.
        offsets: Objects of image i are ``offsets[i]`` to ``offsets[i + 1]``.
        threshold: The fraction t of images below which a class is rare, such as 0.001.

    Returns:
        Repeats of the images for :class:`~visiontasks.data.loading.samplers.TrainingSampler`.

    Raises:
        ArgumentError: If there are no objects, or the threshold is not above 0 and at most 1.

    Example:
        >>> repeat_factors(np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 5]), threshold=0.5).tolist()
        [1.0, 1.0, 1.0, 1.414...]
    """
    if not 0 < threshold <= 1:
        message = f"repeat_threshold is {threshold}; expected a fraction of the images, above 0 and at most 1."
        raise ArgumentError(message)
    image, label = _classes_of_images(labels, offsets, "repeat_threshold")
    repeats = np.ones(len(offsets) - 1)
    frequency = np.bincount(label) / len(repeats)
    np.maximum.at(repeats, image, np.sqrt(threshold / frequency[label]))
    return repeats


def _classes_of_images(
    labels: Integer[np.ndarray, " objects"], offsets: Integer[np.ndarray, " bounds"], argument: str
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """List every image with every class that it shows, each pair once."""
    if not len(labels):
        message = f"{argument} draws images by the classes of their objects, which the annotations do not have."
        raise ArgumentError(message)
    owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    pairs = np.unique(np.column_stack((owners, labels)), axis=0).reshape(-1, 2)
    return pairs[:, 0].astype(np.int64), pairs[:, 1].astype(np.int64)


def aspect_groups(
    sizes: Integer[np.ndarray, "images 2"], bounds: Sequence[float] = (0.8, 1.25)
) -> Int64[np.ndarray, " images"]:
    """Group images by aspect ratio (width over height), so that batches of a group need little padding.

    Args:
        sizes: Height and width of each image.
        bounds: Ratios at which the next group starts, ascending.

    Returns:
        Group of each image, 0 to the number of bounds.

    Raises:
        ArgumentError: If the size of an image is unknown.

    Example:
        >>> aspect_groups(np.array([[480, 640], [640, 480], [500, 500]])).tolist()
        [2, 0, 1]
    """
    unknown = np.flatnonzero((sizes < 1).any(1))
    if len(unknown):
        message = (
            f"The sizes of {len(unknown)} images are not known (the first is number {unknown[0]}); grouping by shape "
            "needs them. State them in the annotations, or read them with visiontasks.data.images.reading.read_size."
        )
        raise ArgumentError(message)
    groups: Int64[np.ndarray, " images"] = np.searchsorted(bounds, sizes[:, 1] / sizes[:, 0], side="right")
    return groups.astype(np.int64)


def arrange_by_group(
    order: Int64[Tensor, " samples"], groups: Int64[Tensor, " images"], step: int, generator: torch.Generator
) -> Int64[Tensor, " samples"]:
    """Rearrange a random order so that each training step has samples of one group only.

    Samples left over form the last steps, which mix neighbouring groups. No sample is dropped.

    Args:
        order: Positions of the samples.
        groups: Group of each image.
        step: Samples per step, over all processes.
        generator: Random generator for the order of the steps.
    """
    whole, rest = [], []
    for group in torch.unique(groups).tolist():
        members = order[groups[order] == group]
        full = len(members) // step * step
        whole.append(members[:full].reshape(-1, step))
        rest.append(members[full:])
    steps = torch.cat(whole)
    mixed = torch.cat(rest)
    full = len(mixed) // step * step
    steps = torch.cat((steps, mixed[:full].reshape(-1, step)))
    shuffled = steps[torch.randperm(len(steps), generator=generator)]
    return torch.cat((shuffled.flatten(), mixed[full:]))


def earlier_draws(order: Int64[Tensor, " samples"]) -> Int64[Tensor, " samples"]:
    """Count how often each sample of an order has come before.

    Args:
        order: Positions of the samples.

    Example:
        >>> earlier_draws(torch.tensor([3, 1, 3, 3, 1])).tolist()
        [0, 0, 1, 2, 1]
    """
    ascending, places = order.sort(stable=True)
    earlier = torch.empty_like(order)
    earlier[places] = torch.arange(len(order)) - torch.searchsorted(ascending, ascending)
    return earlier


def cut(
    samples: int, batch_size: int, sizes: Integer[np.ndarray, "samples 2"] | None = None, pixels: int = 0
) -> list[range]:
    """Cut samples into batches, in order.

    Args:
        samples: Their number.
        batch_size: Maximum number of samples of a batch.
        sizes: Height and width of each image in a batch, if they differ; a batch is padded to the largest of each.
        pixels: Maximum number of pixels of such a batch, which has at least one image.

    Returns:
        The samples of each batch.

    Example:
        >>> cut(5, 2)
        [range(0, 2), range(2, 4), range(4, 5)]
        >>> cut(4, 3, np.array([[10, 10], [10, 20], [20, 10], [9, 9]]), 400)
        [range(0, 2), range(2, 4)]
    """
    if sizes is None:
        return [range(start, min(start + batch_size, samples)) for start in range(0, samples, batch_size)]
    batches, start, height, width = list[range](), 0, 0, 0
    for image, (rows, columns) in enumerate(sizes.tolist()):
        height, width = max(height, rows), max(width, columns)
        full = image - start == batch_size or (image - start + 1) * height * width > pixels
        if image > start and full:
            batches.append(range(start, image))
            start, height, width = image, rows, columns
    return [*batches, range(start, samples)]
