"""What is converted: the splits of a data module with the names that their images get."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.index.packed import ImageIndex
from visiontasks.errors import ArgumentError, DataError

_IMAGES = ("images", "jpegimages")
"""Folders that tell no image from another, in lower case."""


class Picture(NamedTuple):
    """An image and its objects.

    Attributes:
        name: Its name in the folder of images of the result.
        stem: The name without its suffix, unique in the result.
        size: (height, width) in pixels.
        boxes: xyxy in pixels; None if the data have no boxes.
        labels: Class of each object.
        ignore: Objects that evaluation ignores.
        rows: Position of each object in the index.
    """

    name: str
    stem: str
    size: tuple[int, int]
    boxes: Float64[np.ndarray, "objects 4"] | None
    labels: Int32[np.ndarray, " objects"]
    ignore: Bool[np.ndarray, " objects"]
    rows: range


@dataclass(frozen=True)
class Content:
    """What is converted.

    Attributes:
        class_names: Classes in the order of the labels, without background.
        channels: Channels of the images.
        polygons: Whether the polygons are learnt, as in segmentation and for instances, and not the boxes alone.
        indices: The annotations of each split.
        sizes: (height, width) of the images of each split.
        names: Name of each image file in the result; an image of several splits has one.
        omitted: How many things the target form cannot hold, by what they are; a writer adds to it.
    """

    class_names: tuple[str, ...]
    channels: int
    polygons: bool
    indices: Mapping[str, ImageIndex]
    sizes: Mapping[str, Int64[np.ndarray, "images 2"]]
    names: Mapping[Path, str]
    omitted: Counter[str]

    @property
    def counts(self) -> dict[str, int]:
        """Number of images of each split."""
        return {split: int((self.sizes[split] > 0).all(1).sum()) for split in self.indices}

    def pictures(self, split: str) -> Iterator[Picture]:
        """Yield the images of a split, without those that could not be read."""
        return (picture for _, picture in self.numbered(split))

    def numbered(self, split: str) -> Iterator[tuple[int, Picture]]:
        """Yield the images of :meth:`pictures` with their positions in the index."""
        index = self.indices[split]
        for position in range(len(index)):
            height, width = map(int, self.sizes[split][position])
            if not (height and width):
                continue
            name = self.names[index.file(position)]
            rows = range(*map(int, index.offsets[position : position + 2]))
            size = (height, width)
            yield (
                position,
                Picture(name, str(PurePosixPath(name).with_suffix("")), size, *index.objects(position), rows),
            )

    def has_boxes(self) -> bool:
        """Return whether the objects have boxes; in classification by folders they have classes only."""
        return next(iter(self.indices.values())).boxes is not None

    def omit_marks(self, picture: Picture) -> list[int]:
        """Leave out and count the ignored objects of an image, for a form that cannot mark them.

        Returns:
            Positions of the other objects among those of the image.
        """
        kept: list[int] = np.flatnonzero(~picture.ignore).tolist()
        self.omitted["objects that are ignored (crowd, difficult)"] += len(picture.labels) - len(kept)
        return kept

    def omit_areas(self) -> None:
        """Count the areas that are not those of the boxes, for a form that has none."""
        for index in self.indices.values():
            if index.areas is not None and index.boxes is not None:
                of_boxes = (index.boxes[:, 2:] - index.boxes[:, :2]).prod(1)
                self.omitted["areas that are not those of the boxes"] += int((~np.isclose(index.areas, of_boxes)).sum())

    def omit_segments(self) -> None:
        """Count the polygons and run lengths, for a form that has none."""
        for index in self.indices.values():
            if index.segments is not None:
                with_polygons = int((np.diff(index.segments.object_offsets) > 0).sum())
                self.omitted["polygons of objects"] += with_polygons
                self.omitted["run lengths of objects"] += sum(map(bool, index.segments.runs))


def collect(data: FileData) -> Content:
    """Read the annotations of all splits.

    Raises:
        ArgumentError: If the annotations are masks in files, and there are no objects to convert.
        DataError: If the annotations have errors, or the size of an image cannot be read.
    """
    indices = {split: data.splits[split].index for split in data.splits.distinct}
    first = next(iter(indices.values()))
    indices = {split: index for split, index in indices.items() if index is first or len(index)}
    if first.masks is not None and first.boxes is None:
        message = (
            f"the annotations of {str(data.root)!r} are masks in files, which none of the forms holds; expected "
            "classes, boxes or polygons of objects."
        )
        raise ArgumentError(message)
    sizes = {split: data.dataset(split, cache=False).sizes() for split in indices}
    omitted: Counter[str] = Counter()
    for split, index in indices.items():
        omitted["images that cannot be read"] += int((sizes[split] < 1).any(1).sum())
        omitted["masks in files"] += 0 if index.masks is None else len(index)
    files = {index.file(image): index.files[image] for index in indices.values() for image in range(len(index))}
    polygons = data.task in ("segmentation", "instances")
    return Content(data.splits.class_names, data.in_channels, polygons, indices, sizes, name_images(files), omitted)


def name_images(files: Mapping[Path, str]) -> dict[Path, str]:
    """Name image files in one folder.

    Args:
        files: The files, and their names below the root of their data set.

    Returns:
        The file's own name if all differ, also without their suffixes; otherwise the folders are kept that tell them
        apart, and a suffix becomes part of the name where only it does: ``a_png.png``.

    Raises:
        DataError: If a name is not valid Unicode, which text files cannot contain.

    Example:
        >>> list(name_images({Path("/r/a/1.jpg"): "a/1.jpg", Path("/r/a/2.jpg"): "a/2.jpg"}).values())
        ['1.jpg', '2.jpg']
        >>> list(name_images({Path("/r/a/1.jpg"): "a/images/1.jpg", Path("/r/b/1.jpg"): "b/images/1.jpg"}).values())
        ['a/1.jpg', 'b/1.jpg']
    """
    paths = {file: PurePosixPath(name) for file, name in files.items()}
    for name in files.values():
        try:
            name.encode()
        except UnicodeEncodeError:
            message = f"the name of {name!r} is not valid Unicode, and text files cannot contain it; rename the file."
            raise DataError(message) from None
    telling = {
        file: PurePosixPath(*(part for part in path.parts[:-1] if part.lower() not in _IMAGES), path.name)
        for file, path in paths.items()
    }
    for whole in (telling, paths):
        for depth in range(1, 1 + max((len(path.parts) for path in whole.values()), default=0)):
            short = {file: PurePosixPath(*path.parts[-depth:]) for file, path in whole.items()}
            if len({path.with_suffix("") for path in short.values()}) == len(paths):
                return {file: str(path) for file, path in short.items()}
    taken: set[PurePosixPath] = set()
    for file, path in paths.items():
        own = path
        while own.with_suffix("") in taken:
            own = own.with_name(f"{own.stem}_{path.suffix[1:]}{path.suffix}")
        taken.add(own.with_suffix(""))
        paths[file] = own
    return {file: str(path) for file, path in paths.items()}
