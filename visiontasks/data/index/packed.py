"""The packed annotation index of one split: flat arrays that all worker processes share.

Legend of the shapes: ``images`` is N, ``objects`` is A, over all images, and ``classes`` is K, without background.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt8

from visiontasks.data.index.ragged import PackedStrings, take_rows
from visiontasks.data.index.segments import Segments, paint_classes
from visiontasks.errors import ArgumentError, DataError

__all__ = ["ImageIndex", "Objects", "PackedStrings"]


class Objects(NamedTuple):
    """The objects of one image, as views of the index.

    Attributes:
        boxes: xyxy in pixels of the image as annotated, 0-based; None if the format has no boxes.
        labels: Class of each object, 0 to K - 1.
        ignore: Objects that evaluation ignores: they count neither as found nor as missed (COCO crowd, VOC difficult).
    """

    boxes: Float64[np.ndarray, "objects 4"] | None
    labels: Int32[np.ndarray, " objects"]
    ignore: Bool[np.ndarray, " objects"]


def pack_identifiers(identifiers: Sequence[int | str]) -> Int64[np.ndarray, " identifiers"] | PackedStrings:
    """Pack identifiers so that they come back as they are: numbers as int64 if all fit, otherwise the JSON of each.

    Example:
        >>> pack_identifiers([7, 3])
        array([7, 3])
        >>> list(pack_identifiers(["007", 2**70]))
        ['"007"', '1180591620717411303424']
    """
    if set(map(type, identifiers)) <= {int}:
        try:
            return np.fromiter(identifiers, np.int64, len(identifiers))
        except OverflowError:
            pass
    return PackedStrings.pack([json.dumps(identifier) for identifier in identifiers])


def _identifier(packed: Int64[np.ndarray, " identifiers"] | PackedStrings, position: int) -> int | str:
    if isinstance(packed, PackedStrings):
        identifier: int | str = json.loads(packed[position])
        return identifier
    return int(packed[position])


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """Images of one split and their annotations in flat arrays.

    Attributes:
        root: Folder that the files are relative to.
        files: Image files.
        image_ids: Identifiers in the data set, such as COCO ids or VOC stems, see :func:`pack_identifiers`.
        sizes: (height, width) in pixels as annotated; 0 if the annotations do not contain it.
        class_names: Names of the classes in the order of the labels.
        category_ids: Identifiers of the classes in the data set, -1 for a class that it lacks; 0 to K - 1 if it has
            none; see :func:`pack_identifiers`.
        offsets: Objects of image i are ``offsets[i]`` to ``offsets[i + 1]``.
        labels: Class of each object, 0 to K - 1.
        boxes: xyxy in pixels, 0-based, inside the image; None when the format has no boxes.
        ignore: Objects that evaluation ignores (COCO crowd, VOC difficult).
        areas: Area of each object in square pixels as given by COCO and used in its evaluation; None for other formats.
        object_ids: Identifiers of the objects in the data set; None if it has none that are numbers.
        masks: Mask file of each image, relative to ``root``, "" for none; None if there are no mask files.
        segments: Polygons and run lengths of the objects; None if there are none.
        folder: Folder whose files the arrays are mapped from; None if they are in memory.
    """

    root: Path
    files: PackedStrings
    image_ids: Int64[np.ndarray, " images"] | PackedStrings
    sizes: Int32[np.ndarray, "images 2"]
    class_names: tuple[str, ...]
    category_ids: Int64[np.ndarray, " classes"] | PackedStrings
    offsets: Int64[np.ndarray, " bounds"]
    labels: Int32[np.ndarray, " objects"]
    boxes: Float64[np.ndarray, "objects 4"] | None
    ignore: Bool[np.ndarray, " objects"]
    areas: Float64[np.ndarray, " objects"] | None = None
    object_ids: Int64[np.ndarray, " objects"] | None = None
    masks: PackedStrings | None = None
    segments: Segments | None = None
    folder: Path | None = None

    def __len__(self) -> int:
        return len(self.files)

    def file(self, image: int) -> Path:
        """Return the absolute path of an image."""
        return (self.root / self.files[image]).absolute()

    def image_id(self, image: int) -> int | str:
        """Return the identifier of an image as the data set has it."""
        return _identifier(self.image_ids, image)

    def category_id(self, label: int) -> int | str:
        """Return the identifier of a class as the data set has it."""
        return _identifier(self.category_ids, label)

    def objects(self, image: int) -> Objects:
        """Return boxes, labels and ignore flags of an image, without a copy."""
        rows = slice(self.offsets[image], self.offsets[image + 1])
        return Objects(None if self.boxes is None else self.boxes[rows], self.labels[rows], self.ignore[rows])

    def areas_of(self, image: int) -> Float64[np.ndarray, " objects"]:
        """Return the areas of the objects of an image: as annotated, otherwise of their boxes; 0 without boxes."""
        rows = slice(self.offsets[image], self.offsets[image + 1])
        if self.areas is not None:
            return self.areas[rows]
        if self.boxes is None:
            return np.zeros(rows.stop - rows.start)
        boxes = self.boxes[rows]
        areas: Float64[np.ndarray, " objects"] = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        return areas

    def counts(self) -> Int64[np.ndarray, " classes"]:
        """Count the objects of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names)).astype(np.int64)

    def subset(self, images: Sequence[int] | Int64[np.ndarray, " taken"]) -> Self:
        """Select images, in the given order; the classes stay unchanged.

        Args:
            images: Positions, 0 to N - 1.
        """
        rows = np.asarray(images, np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            message = f"images holds {rows.min()} to {rows.max()}; expected positions from 0 to {len(self) - 1}."
            raise ArgumentError(message)
        objects, offsets = take_rows(self.offsets, rows)
        return replace(
            self,
            files=self.files.take(rows),
            image_ids=self.image_ids.take(rows),
            sizes=self.sizes[rows],
            offsets=offsets,
            labels=self.labels[objects],
            boxes=None if self.boxes is None else self.boxes[objects],
            ignore=self.ignore[objects],
            areas=None if self.areas is None else self.areas[objects],
            object_ids=None if self.object_ids is None else self.object_ids[objects],
            masks=None if self.masks is None else self.masks.take(rows),
            segments=None if self.segments is None else self.segments.take(objects),
            folder=None,
        )

    def instance_masks(
        self, image: int, size: tuple[int, int] | None = None
    ) -> UInt8[np.ndarray, "objects height width"]:
        """Rasterise the objects of an image as pycocotools does.

        Args:
            image: Position.
            size: (height, width) of the image, if the annotations do not contain it.

        Returns:
            One mask of zeros and ones per object; all zeros for an object without polygons and run lengths.

        Raises:
            ArgumentError: The index has no segments.
            DataError: The size is not known.
        """
        segments = self._known_segments()
        height, width = map(int, self.sizes[image]) if size is None else size
        if not (height and width):
            message = f"{self.file(image)}: the annotations do not say its size. Pass size=(height, width)."
            raise DataError(message)
        try:
            return segments.rasterize(range(*map(int, self.offsets[image : image + 2])), (height, width))
        except ValueError as error:
            raise self._misfit(image, (height, width), error) from error

    def packed_masks(
        self, image: int, size: tuple[int, int]
    ) -> tuple[UInt8[np.ndarray, " bytes"], Int64[np.ndarray, "objects 4"]]:
        """Rasterise the objects of an image one by one; their masks are those of :meth:`instance_masks`.

        Args:
            image: Position.
            size: (height, width) of the image.

        Returns:
            The bits and the windows of the masks, see :func:`~visiontasks.instance_masks.pack_masks`.

        Raises:
            ArgumentError: The index has no segments.
            DataError: Run lengths are of another size.
        """
        segments = self._known_segments()
        try:
            return segments.pack(range(*map(int, self.offsets[image : image + 2])), size)
        except ValueError as error:
            raise self._misfit(image, size, error) from error

    def class_map(
        self, image: int, size: tuple[int, int] | None = None, ignore_index: int = 255
    ) -> UInt8[np.ndarray, "height width"] | Int32[np.ndarray, "height width"]:
        """Merge the instance masks of an image into one class per pixel.

        Where objects overlap, the smaller one is on top. Pixels that are covered only by an ignored object (a crowd)
        get ``ignore_index``. torchvision's reference marks all overlaps as ignored instead.

        Args:
            image: Position.
            size: (height, width) of the image, if the annotations do not contain it.
            ignore_index: Value of ignored pixels, which is not a class.

        Returns:
            0 for background and 1 to K for the classes; int32 if they do not fit into a byte.

        Raises:
            ArgumentError: The index has no segments, or ``ignore_index`` is a class.
            DataError: The size is not known.
        """
        if 0 <= ignore_index <= len(self.class_names):
            message = (
                f"ignore_index is {ignore_index}; expected a value beyond background and the {len(self.class_names)} "
                f"classes, for example {max(255, len(self.class_names) + 1)}."
            )
            raise ArgumentError(message)
        _, labels, ignore = self.objects(image)
        values = np.where(ignore, ignore_index, labels + 1)
        byte = ignore_index >= 0 and max(ignore_index, len(self.class_names)) <= 255
        return paint_classes(self.instance_masks(image, size), values, ignore, np.uint8 if byte else np.int32)

    def _known_segments(self) -> Segments:
        if self.segments is None:
            message = f"the annotations of {self.root} have no polygons or run lengths. Use data with instance masks."
            raise ArgumentError(message)
        return self.segments

    def _misfit(self, image: int, size: tuple[int, int], error: ValueError) -> DataError:
        return DataError(
            f"{self.file(image)}: run lengths do not fill its {size[0]} x {size[1]} pixels ({error}). Correct them."
        )
