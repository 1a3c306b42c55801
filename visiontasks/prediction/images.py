"""Images in the forms that people hold them in: files, what files hold, Pillow's images, arrays, tensors, batches."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image
from torch import Tensor

from visiontasks.data.images.arrays import Pixels, as_pixels
from visiontasks.data.images.reading import Reading
from visiontasks.errors import ArgumentError, UnreadableFileError
from visiontasks.prediction.sources import find_files
from visiontasks.serialization import BinaryFile

_InMemory = bytes | bytearray | memoryview | BinaryFile | Image.Image | np.ndarray | Tensor
ImageSource = str | os.PathLike[str] | _InMemory
"""An image: the name of a file; its content as bytes, or a file object, which is read from its start; an image of
Pillow; an array [H, W] or [H, W, C]; a tensor [C, H, W] or [H, W], on any device. Batches have an axis before these,
and those of arrays may be [N, C, H, W], too. Values are uint8, uint16, or floating point in 0 to 1, not normalised."""

_SHARED = Lock()
"""Held while an object is read that another thread may read as well: a file object, or an image that Pillow decodes
only now."""


def each_image(images: ImageSource | Iterable[ImageSource], channels: int) -> Iterator[ImageSource]:
    """Iterate over images, one by one.

    Args:
        images: One or several, or batches of them; a single name may also be a folder, a pattern or a list of files.
        channels: Channels of the network's images, by which the axes of a batch of arrays are told apart.

    Returns:
        The images. What is iterated over is asked for the next one only when that is needed.

    Raises:
        ArgumentError: If a name is that of nothing, or, when it is reached, something is not an image.

    Example:
        >>> [image.shape for image in each_image(np.zeros((2, 3, 20, 30)), channels=3)]
        [(20, 30, 3), (20, 30, 3)]
    """
    if isinstance(images, str | os.PathLike):
        return iter(find_files([Path(images)]))
    if isinstance(images, _InMemory) and not _is_list(images):
        return _single([images], channels)
    if isinstance(images, Iterable):
        return _single(images, channels)  # type: ignore[arg-type]  # bytes and tensors are handled above
    raise ArgumentError(_no_image("images", images))


def read_source(source: ImageSource, reading: Reading) -> Pixels:
    """Read an image; one that is given twice may be read by several threads at once.

    Args:
        source: The image.
        reading: How files are read.

    Returns:
        Pixels from 0 to 255, shape [H, W, C].

    Raises:
        UnreadableFileError: If it cannot be read.
    """
    if isinstance(source, Tensor):
        return as_pixels(_array_of(source, reading.channels), reading.channels, reading.value_range)
    if isinstance(source, np.ndarray):
        return as_pixels(source, reading.channels, reading.value_range)
    if isinstance(source, str | os.PathLike):
        return reading.pixels(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return reading.pixels(bytes(source))
    with _SHARED:
        if isinstance(source, Image.Image):
            return reading.pixels(source)
        if source.seekable():
            source.seek(0)
        content = source.read()
    return reading.pixels(content)


def _single(images: Iterable[ImageSource], channels: int) -> Iterator[ImageSource]:
    for position, image in enumerate(images):
        if not isinstance(image, str | os.PathLike | _InMemory):
            raise ArgumentError(_no_image(f"images[{position}]", image))
        if isinstance(image, Tensor) and image.ndim == 4:
            yield from image
        elif isinstance(image, np.ndarray) and image.ndim == 4:
            yield from image if image.shape[-1] in (1, 3, 4, channels) else image.transpose(0, 2, 3, 1)
        else:
            yield image


def _array_of(image: Tensor, channels: int) -> np.ndarray:
    image = image.detach().cpu()
    if image.ndim == 3 and image.shape[0] not in (1, 3, 4, channels) and image.shape[2] in (1, 3, 4, channels):
        message = (
            f"A tensor of shape {list(image.shape)} is not an image; expected [C, H, W]: permute(2, 0, 1) makes it so."
        )
        raise UnreadableFileError(message)
    if image.dtype.itemsize == 2 and image.is_floating_point():  # NumPy has no bfloat16
        image = image.float()
    array: np.ndarray = (image.permute(1, 2, 0) if image.ndim == 3 else image).numpy()
    return array


def _is_list(images: object) -> bool:
    """Tell whether an array is a list, of the names of files."""
    return isinstance(images, np.ndarray) and images.ndim == 1


def _no_image(name: str, value: object) -> str:
    remedy = ""
    if hasattr(value, "images"):
        remedy = f" Give its images: {name}.images."
    elif isinstance(value, list | tuple):
        remedy = " Of pairs of an image and a label give the images: (image for image, label in pairs)."
    return (
        f"{name} is a {type(value).__name__}; expected the name of a file, bytes, a file object, an image of Pillow, "
        f"an array [H, W, C] or a tensor [C, H, W].{remedy}"
    )
