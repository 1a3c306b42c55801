"""COCO and custom data sets in COCO format."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import described, find_images_folder, first_file_names, layout_error, places
from visiontasks.data.download.public import COCO_2017, download_archives
from visiontasks.data.index.boxes import BoxFormat
from visiontasks.data.index.coco import CocoFile
from visiontasks.data.index.foreign import Form, json_form
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.errors import DataError

_YEARS = ("2017", "2014")
_SHOWN = 10


class COCOData(FileData):
    """COCO 2017, or custom data with annotations in a COCO json file.

    The files that are recognised below ``root`` are listed in ``visiontasks.data.datamodules.layouts``, such as
    ``annotations/instances_SPLIT.json`` or ``SPLIT/_annotations.coco.json``, with SPLIT such as train2017, train or
    valid; or one json file, whose images are split at random. The folder of the images is found by searching.

    In segmentation a pixel has the class of the smallest object that covers it, or is ``background``; classification is
    multilabel.

    Args:
        root: Folder of the data set.
        task: ``"detection"``, ``"instances"``, ``"segmentation"``, ``"classification"``, or ``"localization"`` of the
            largest object.
        train: Annotations to train on, relative to ``root``; by default found by searching.
        val: Annotations of the validation split. With ``train`` alone, it is split at random from the training images.
        test: Annotations of the test split; by default the validation split stands in for it.
        images: Folder of the images, relative to ``root``; by default found by searching.
        box_format: Notation of the boxes, if a tool has written one other than COCO's.
        download: Whether to download COCO 2017 (19 GB) into ``root`` if it is not there yet.
        mirrors: Addresses of servers to try first, each replacing ``http://images.cocodataset.org``.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data.FileData`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the annotations are not found or have errors (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("detection", "instances", "segmentation", "classification", "localization")
    background = True
    multilabel = True

    def __init__(
        self,
        root: str | Path = "data/coco",
        task: Literal["detection", "instances", "segmentation", "classification", "localization"] = "detection",
        *,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        images: str | None = None,
        box_format: BoxFormat = "xywh",
        download: bool = False,
        mirrors: Sequence[str] = (),
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        self.files = {"train": train, "val": val, "test": test}
        self.images = images
        self.box_format = box_format
        self.download = download
        self.mirrors = mirrors
        super().__init__(root, task, **kwargs)

    def prepare_data(self) -> None:
        """Download missing files if ``download`` is set."""
        if self.download:
            download_archives(COCO_2017, self.root, self.mirrors)

    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> CocoFile | None:
        """Find the json file of a split and the folder of its images."""
        file = self._annotations(split)
        if file is None:
            return None
        if self.images is not None:
            return CocoFile(file, self.root / self.images, self.box_format, class_names)
        folder = find_images_folder(self.root, first_file_names(file), file.parent, _names(split))
        return CocoFile(file, folder, self.box_format, class_names)

    def _annotations(self, split: str) -> Path | None:
        given = self.files[split]
        if given is not None:
            file = self.root / given
            if not file.is_file():
                message = f"{split} is {given!r}, but there is no file {str(file)!r}; expected a COCO json file."
                raise DataError(message)
            return file
        if self.files["train"] is not None:
            return None
        found = next(places(self.root, "COCODataModule", _names(split)), None)
        if found is None and split == "train":
            found = next(places(self.root, "COCODataModule"), None)
        if found is not None:
            return found.annotations
        if split != "train":
            return None
        single = [path for folder in (self.root, self.root / "annotations") for path in sorted(folder.glob("*.json"))]
        # What is there for evaluation is not trained on unless the user names it.
        if len(single) == 1 and single[0] not in map(self._annotations, ("val", "test")):
            return single[0]
        expected = [*described("COCODataModule"), "one .json file"]
        several = f"Its json files: {', '.join(path.name for path in single[:_SHOWN])}. " if single else ""
        if single and (form := _form(single[0])):
            several = f"{single[0].name} is {form.name}, which is not read. {form.remedy} "
        raise layout_error(self.root, expected, f"{several}Name the annotations, as in train='annotations/my.json'.")


def _form(file: Path) -> Form | None:
    """Return the form of a JSON file of another tool; None if it is not known."""
    try:
        return json_form(json.loads(file.read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None


def _names(split: str) -> list[str]:
    years = [f"{split}{year}" for year in _YEARS] if split != "test" else []
    return [*years, *SPLIT_NAMES[split]]
