"""Images in files: the common base of the data sets of all tasks, from an index of files to batches."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sized
from hashlib import blake2b
from itertools import zip_longest
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, get_args, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from visiontasks.data.augmentation.mask_planes import Planes
from visiontasks.data.augmentation.resizing import Resizing, Whole
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.augmentation.windows import clip_boxes, show_boxes, show_image, show_mask
from visiontasks.data.images.arrays import Pixels, to_tensor
from visiontasks.data.images.image_cache import ImageCache
from visiontasks.data.images.reading import Reading, quiet_workers, read_orientation, read_size
from visiontasks.data.images.tiff import TRANSPOSED
from visiontasks.data.loading.collate import collate, empty_like
from visiontasks.data.loading.samplers import BatchRequest, request_of
from visiontasks.errors import DataError, UnreadableFileError, check_choice

BatchT = TypeVar("BatchT", bound=NamedTuple)
OnError = Literal["raise", "skip", "replace"]

_RGB, _logger = Reading(), logging.getLogger(__name__)


@runtime_checkable
class Names(Protocol):
    """File names by position."""

    def __getitem__(self, image: int, /) -> str:
        """Return the name of an image's file."""


@runtime_checkable
class ImageFiles(Sized, Protocol):
    """Interface of an index of images and their annotations.

    Attributes:
        root: Folder of the mask files.
        sizes: Height and width of each image as displayed; 0 if unknown.
        class_names: Names of the classes in the order of the labels.
        masks: Mask file of each image, relative to ``root``; None if there are none.
    """

    @property
    def root(self) -> Path: ...  # noqa: D102 (see the class)
    @property
    def sizes(self) -> np.ndarray: ...  # noqa: D102
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def masks(self) -> Names | None: ...  # noqa: D102

    def file(self, image: int) -> Path:
        """Return the file of an image."""

    def objects(self, image: int) -> Any:  # noqa: ANN401 (a tuple of boxes, labels, ignore)
        """Return boxes [n, 4] (xyxy; or None), labels [n] and ignore [n] of an image."""

    def areas_of(self, image: int) -> np.ndarray:
        """Return the area of each object of an image in square pixels."""

    def class_map(self, image: int, size: tuple[int, int]) -> np.ndarray:
        """Return the class of each pixel, drawn from the polygons of an image of the given height and width."""


class View(NamedTuple):
    """An image as it appears in a batch.

    Attributes:
        image: Pixels, in channels-last memory.
        size: Height and width.
        scale: Height and width of the visible content of the image, divided by ``size``.
        boxes: Remaining boxes, xyxy in pixels.
        kept: Position of each remaining box among the given ones.
        mask: Class of each pixel, or the planes of masks; None if neither was given.
    """

    image: UInt8[Tensor, "channels height width"]
    size: Int64[Tensor, "2"]
    scale: Float32[Tensor, "2"]
    boxes: Float32[Tensor, "kept 4"]
    kept: Int64[np.ndarray, " kept"]
    mask: UInt8[Tensor, "height width"] | UInt8[Tensor, "planes height width"] | None


class FileDataset(Dataset[BatchT], ABC):
    """Images in files, for one task; makes whole batches from the samples of :meth:`sample`.

    The random changes of a sample depend on (seed, epoch, index) only, not on the worker that prepares it, the batch it
    is in, or the point at which training was resumed.

    Args:
        index: Files and annotations.
        reading: How files are read; by default as RGB.
        resizing: How images are brought to the size of a batch.
        augmentation: Random changes applied before resizing; None for none.
        seed: Seed of the random changes.
        on_error: How to handle a file that cannot be read: ``"raise"``; ``"skip"``, which leaves it out of its batch
            (for evaluation); or ``"replace"``, which takes the next image instead, so that batches keep their size (for
            training). Either way it is logged once and listed in :attr:`unreadable`.
        cache: Whether decoded images are kept in memory.
        multiple: The height and width of batches are padded to a multiple of this number.

    Raises:
        ArgumentError: If ``on_error`` is unknown, or the cache does not fit into memory.
    """

    def __init__(
        self,
        index: ImageFiles,
        *,
        reading: Reading = _RGB,
        resizing: Resizing | None = None,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        on_error: OnError = "raise",
        cache: bool = False,
        multiple: int = 1,
    ) -> None:
        check_choice("on_error", on_error, get_args(OnError))
        self.index = index
        self.reading = reading
        self.resizing = resizing or Whole()
        self.augmentation = augmentation
        self.seed = seed
        self.on_error = on_error
        self.multiple = multiple
        self.cache = ImageCache(self.sizes(), reading.channels) if cache else None
        # Shared, so that the main process and the other workers know what a worker finds.
        self.left_out = torch.zeros(len(index), dtype=torch.bool).share_memory_()

    def __len__(self) -> int:
        """Count the images."""
        return len(self.index)

    @property
    def unreadable(self) -> list[Path]:
        """The files that could not be read so far; with ``on_error="raise"`` there are none."""
        return [self.index.file(image) for image in torch.nonzero(self.left_out).flatten().tolist()]

    def size(self, image: int) -> tuple[int, int]:
        """Return the height and width of an image: as annotated, otherwise from the header of its file.

        Raises:
            UnreadableFileError: If the size cannot be read from the file.
        """
        height, width = map(int, self.index.sizes[image])
        return (height, width) if height and width else read_size(self.index.file(image), self.reading.exif)

    def sizes(self) -> Int64[np.ndarray, "images 2"]:
        """Return the height and width of all images; 0 for unreadable files that are left out.

        Raises:
            UnreadableFileError: If the size of a file cannot be read and ``on_error`` is ``"raise"``.
        """
        sizes = self.index.sizes.astype(np.int64)
        for image in np.flatnonzero((sizes < 1).any(1)).tolist():
            sizes[image] = 0
            try:
                sizes[image] = self.size(image)
            except UnreadableFileError:
                if self.on_error == "raise":
                    raise
        return sizes

    def batch_sizes(self) -> Int64[np.ndarray, "images 2"] | None:
        """Return the height and width of each image in an evaluation batch; None if they do not keep their shape."""
        keeps = self.resizing.keeps_shape
        return self.resizing.batch_sizes(np.maximum(self.sizes(), 1), self.multiple) if keeps else None

    @abstractmethod
    def sample(self, index: int, epoch: int) -> BatchT:
        """Make one sample: the batch tuple of the task, possibly with more fields, without the batch axis.

        Args:
            index: Position of the image.
            epoch: Number of passes over the data set before this one.
        """

    def __getitem__(self, request: BatchRequest | int) -> BatchT:
        """Make a batch, where an empty one has the shapes of a batch with one image; a number gives one sample.

        Samples by number are augmented anew each time, by torch's random state.
        """
        quiet_workers()
        if not isinstance(request, BatchRequest):
            single = request_of(request, len(self))
            return self.sample(single.indices[0], single.epoch)
        # An epoch of its own for every further draw of an image.
        draws = zip_longest(request.indices, request.drawn, fillvalue=0)
        read = (self._sample(index, request.epoch + (drawn << 32), self.on_error) for index, drawn in draws)
        samples = [sample for sample in read if sample is not None]
        if samples:
            return collate(samples, self.multiple)
        example = self._sample(0, request.epoch, "raise" if self.on_error == "raise" else "replace")
        assert example is not None
        return empty_like(collate([example], self.multiple))

    def pixels(self, index: int) -> Pixels:
        """Read an image.

        Raises:
            UnreadableFileError: If the file is missing, damaged or too large, or has a different number of channels.
            DataError: If its size differs from the one in the annotations.
        """
        if self.cache is not None:
            return self.cache.get(index, lambda: self._read(index))
        return self._read(index)

    def view(
        self,
        index: int,
        epoch: int,
        boxes: Float64[np.ndarray, "objects 4"] | None = None,
        mask: UInt8[np.ndarray, "height width"] | Planes | None = None,
    ) -> View:
        """Read, augment and resize an image together with its boxes or mask.

        Args:
            index: Position of the image.
            epoch: Number of passes over the data set before this one.
            boxes: xyxy in pixels of the image.
            mask: Class of each pixel, or the masks of the objects in planes.
        """
        pixels = self.pixels(index)
        seed = sample_seed(self.seed, epoch, index)
        if self.augmentation is not None:
            pixels, boxes, kept, mask = self.augmentation(pixels, seed, boxes, mask)
            visible = self.augmentation.visible
        else:
            boxes = np.empty((0, 4)) if boxes is None else boxes
            kept, visible = np.arange(len(boxes)), 0.0
        # A separate random stream: that of the augmentation starts with the same seed.
        resizing, random = self.resizing, Random(f"resizing {seed}")
        height, width = pixels.shape[:2]
        classes = mask if mask is not None and mask.ndim == 2 else None
        window = resizing.window(height, width, random) if classes is None else resizing.window_of_mask(classes, random)
        boxes, inside = clip_boxes(show_boxes(boxes, window), window.size, visible)
        pixels = show_image(pixels, window)
        return View(
            to_tensor(pixels if self.augmentation is None else self.augmentation.of_view(pixels, seed)),
            torch.tensor(window.size),
            torch.tensor((window.height / window.size[0], window.width / window.size[1]), dtype=torch.float32),
            torch.from_numpy(boxes[inside].astype(np.float32)),
            kept[inside],
            None if mask is None else torch.from_numpy(np.ascontiguousarray(show_mask(mask, window))),
        )

    def _read(self, index: int) -> Pixels:
        pixels = self.reading.pixels(self.index.file(index))
        stated, actual = tuple(map(int, self.index.sizes[index])), (pixels.shape[0], pixels.shape[1])
        if all(stated) and stated != actual:
            turned = ""
            if stated == actual[::-1] and read_orientation(self.index.file(index)) in TRANSPOSED:
                turned = " Its EXIF orientation turns it: annotate it as displayed, or read it with exif='ignore'."
            message = (
                f"{str(self.index.file(index))!r} is {actual[0]} x {actual[1]} pixels (height x width), its annotation "
                f"says {stated[0]} x {stated[1]}; expected the same. The file was resized or replaced, or the "
                f"annotation is that of another one.{turned}"
            )
            raise DataError(message)
        return pixels

    def _sample(self, index: int, epoch: int, on_error: OnError) -> BatchT | None:
        """Make a sample; None if it is skipped."""
        for position in range(index, index + len(self)):
            image = position % len(self)
            if not self.left_out[image]:
                try:
                    return self.sample(image, epoch)
                except UnreadableFileError as error:
                    if on_error == "raise":
                        raise
                    self.left_out[image] = True
                    _logger.warning("%s. It is left out (%d so far).", error, int(self.left_out.sum()))
            if on_error == "skip":
                return None
        message = f"None of the {len(self)} images can be read; the first is {str(self.index.file(0))!r}."
        raise DataError(message)


def sample_seed(seed: int, epoch: int, index: int) -> int:
    """Derive the seed of a sample, from 0 to 2**64 - 1, from seed, epoch and position.

    Example:
        >>> sample_seed(0, 0, 1) == sample_seed(0, 1, 0)
        False
    """
    return int.from_bytes(blake2b(f"{seed} {epoch} {index}".encode(), digest_size=8).digest(), "little")
