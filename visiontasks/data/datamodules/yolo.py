"""Data sets in YOLO's form, as Ultralytics, Darknet and most annotation tools write them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import LayoutError, first_existing, layout_error, places, spelled
from visiontasks.data.index.file_names import Folder, list_files
from visiontasks.data.index.folders import subfolders
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.data.index.yolo import YoloLabels
from visiontasks.data.index.yolo_description import (
    Description,
    check_root_of,
    described_root,
    read_description,
    read_names,
)
from visiontasks.data.index.yolo_files import find_below, label_name
from visiontasks.data.index.yolo_lines import KeyPoints
from visiontasks.data.messages import warn
from visiontasks.errors import DataError

_EXPECTED = (
    "data.yaml with train, val and names (Ultralytics, Roboflow, CVAT, FiftyOne); or obj.data (Darknet, CVAT)",
    "classes.txt, and images/train/ and labels/train/ or train/images/ and train/labels/",
    "classes.txt, images/ and labels/ (Label Studio): split at random",
    "classes.txt (or obj.names), and images with a label file beside each: split at random",
)
_NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")


class YOLOData(FileData):
    """Images with a text file of labels each, in the form of YOLO: boxes or polygons in fractions of the image.

    The folder has a ``data.yaml``, whose paths may be relative to it or to the root or be those of another machine, or
    an ``obj.data``, or folders as listed in the error for others. The labels of ``images/train/1.jpg`` are
    ``labels/train/1.txt``; where no folder is called ``images``, they are beside the image. A line is ``class cx cy w
    h`` or ``class x1 y1 x2 y2 x3 y3 ...``; a detector learns the box around a polygon. An image without a label file
    has no objects.

    In segmentation a pixel has the class of the smallest polygon that covers it, or is ``background``. Folders of
    images per class, as YOLO has them for classification, are data of
    :class:`~visiontasks.FolderDataModule`.

    Args:
        root: Folder of the data set; by default the one that ``yaml`` describes, or ``data``.
        task: ``"detection"``, ``"instances"``, ``"segmentation"``, or ``"localization"`` of the largest object.
        yaml: The description, relative to ``root``, or to the working folder if there is no ``root``; by default found
            by searching.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data.FileData`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the folder does not contain such a data set, or its annotations have errors (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("detection", "instances", "segmentation", "localization")
    background = True

    def __init__(
        self,
        root: str | Path | None = None,
        task: Literal["detection", "instances", "segmentation", "localization"] = "detection",
        *,
        yaml: str | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        if root is None and yaml is not None:
            if not Path(yaml).is_file():
                message = (
                    f"yaml is {yaml!r}, but there is no such file; without a root it is relative to the working folder."
                )
                raise DataError(message)
            yaml = str(Path(yaml).absolute())
            root = described_root(read_description(Path(yaml)))
        self.yaml = yaml
        super().__init__("data" if root is None else root, task, **kwargs)

    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> YoloLabels | None:
        """Find the description and the images of a split."""
        file = self._description()
        if file is None:
            return self._undescribed(split, class_names)
        description = read_description(file)
        check_root_of(description, self.root)
        images = self._described(description, split)
        if not images:
            return None
        names = description.names
        if names is None:
            found = find_below(description.names_file, [self._folder_of(file), "."], Folder(self.root))
            if found is None:
                message = (
                    f"{str(file)!r}: there is no file of names {description.names_file!r} below {str(self.root)!r}."
                )
                raise DataError(message)
            names = read_names(self.root / found)
        return self._source(images, names, file, class_names, description.key_points)

    def _source(
        self,
        images: tuple[Path, ...],
        names: tuple[str, ...],
        described: Path | None,
        class_names: tuple[str, ...] | None,
        key_points: KeyPoints | None = None,
    ) -> YoloLabels:
        skip, exif = self.on_error == "skip", self.exif == "apply"
        return YoloLabels(self.root, images, names, described, class_names or None, key_points, skip, exif)

    def _description(self) -> Path | None:
        if self.yaml is not None:
            if not (self.root / self.yaml).is_file():
                message = f"yaml is {self.yaml!r}, but there is no file {str(self.root / self.yaml)!r}."
                raise DataError(message)
            return self.root / self.yaml
        usual = next((place.annotations for place in places(self.root, "YOLODataModule")), None)
        others = sorted(path for path in self.root.iterdir() if path.is_file() and path.suffix in (".yaml", ".yml"))
        if usual is None and len(others) > 1:
            names = ", ".join(path.name for path in others)
            raise layout_error(self.root, _EXPECTED, f"Its YAML files: {names}. Name one, as in yaml='data.yaml'.")
        return usual or next(iter(others), None)

    def _described(self, description: Description, split: str) -> tuple[Path, ...]:
        """Find the folders and lists of a split that a description names; nothing for a split that it lacks."""
        written = description.splits.get(split, ())
        file, root = description.file, Folder(self.root)
        if not written and split == "train":
            message = f"{str(file)!r} does not say where the training images are; add 'train: images/train'."
            raise LayoutError(message)
        base = self._folder_of(file)
        # An absolute path takes the place of the folder before it.
        bases = [str(Path(base) / description.path), base, "."]
        places: list[Path] = []
        for place in written:
            name = find_below(place, bases, root)
            if name is not None:
                places.append(self.root / name)
                continue
            message = f"{str(file)!r}: {split} is {place!r}, which is not below {str(self.root)!r}"
            if split == "test":  # Roboflow names one whether there is one or not
                warn(f"{message}; it is left out.")
                continue
            outside = Path(os.path.normpath(file.parent / description.path / place))
            remedy = f"name a root that holds {str(outside)!r}" if outside.exists() else "correct the path"
            message = f"{message}; {remedy}."
            raise DataError(message)
        return tuple(places)

    def _folder_of(self, file: Path) -> str:
        """Return the folder of a file, relative to the root; the root if it is elsewhere."""
        folder = Path(os.path.relpath(file.parent, self.root))
        return "." if ".." in folder.parts else folder.as_posix()

    def _undescribed(self, split: str, class_names: tuple[str, ...] | None) -> YoloLabels | None:
        """Find the images of a split by their usual folders."""
        images = next(filter(None, map(self._labelled, self._candidates(split))), None)
        if images is None:
            if split != "train":
                return None
            raise layout_error(self.root, _EXPECTED, self._remedy())
        places = (self.root, self.root / "labels", self._labels(images), images)
        found = next(filter(None, (first_existing(place, _NAME_FILES) for place in places)), None)
        if found is None and class_names is None:
            message = (
                f"{str(self.root)!r} has label files, and nothing says which classes their numbers are. Give "
                "class_names=['cat', ...], the name of each number from 0 on, or write them into "
                f"{str(self.root / 'classes.txt')!r}, one in a line."
            )
            raise DataError(message)
        names = read_names(found) if found is not None else class_names or ()
        return self._source((images,), names, found, class_names)

    def _candidates(self, split: str) -> Iterator[str]:
        for name in SPLIT_NAMES[split]:
            yield from (f"images/{name}", f"{name}/images", f"{name}.txt", f"autosplit_{name}.txt", name)
        if split == "train":
            yield from ("images", "obj_train_data", "data", ".")

    def _labelled(self, name: str) -> Path | None:
        """Return a folder of images that has labels, or a list, if it exists."""
        spelling = spelled(self.root, name) or ""
        place = self.root / spelling
        if name != "." and not spelling:
            return None
        if place.is_file():
            return place
        labels = self._labels(place)
        if not place.is_dir() or not labels.is_dir():
            return None
        if labels != place:
            return place
        stems = {Path(file).with_suffix("").as_posix() for file in list_files(place)}
        texts = list_files(place, frozenset({".txt"}))
        return place if any(file.removesuffix(".txt") in stems for file in texts) else None

    def _labels(self, images: Path) -> Path:
        below = Path(os.path.relpath(images, self.root)) / "1.jpg"
        return (self.root / label_name(below.as_posix())).parent

    def _remedy(self) -> str:
        folder = first_existing(self.root, SPLIT_NAMES["train"]) or self.root
        classes = [path for path in subfolders(folder) if path.name.lower() not in ("images", "labels")]
        if any(list_files(path) for path in classes):
            return "Folders of images for each class are data of FolderDataModule (--data FolderDataModule)."
        return "Name the folder that holds one of them."
