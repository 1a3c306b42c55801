"""PASCAL VOC and custom data sets in VOC format."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import described, first_existing, holds_xml, layout_error, places
from visiontasks.data.download.public import VOC, download_archives
from visiontasks.data.images.mask_values import LABEL_MAP, MaskValues, read_label_map
from visiontasks.data.index.cache import load_index
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.data.index.voc import VocDevkit, VocDevkits, VocFolder
from visiontasks.data.index.voc_instances import VocInstances
from visiontasks.errors import ArgumentError, DataError, near_matches

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
"""The classes of PASCAL VOC, in the order in which its masks number them from 1."""

_BY_MASKS = ("instances", "segmentation")
"""Tasks whose images are those of ``ImageSets/Segmentation``."""

_DEVKITS = (
    "VOCdevkit/VOC2012/ (or another year) with ImageSets/, Annotations/ and JPEGImages/",
    "ImageSets/, Annotations/ and JPEGImages/",
)


class VOCData(FileData):
    """PASCAL VOC 2007 or 2012, or custom data with one XML file per image, as written by labelImg.

    Both a devkit below ``root`` and folders of images and XML files without lists are recognised. The classes are those
    that occur, sorted; in a devkit they are the 20 of VOC if no other occurs. Difficult objects are marked as ignored.

    In segmentation a pixel has a class or is ``background``; the classes are the values of the masks, or the colours
    that ``labelmap.txt`` of CVAT gives them. Instances are the objects of a devkit with their masks in
    ``SegmentationObject``, see :class:`~visiontasks.data.index.voc_instances.VocInstances`. Classification is
    multilabel.

    Args:
        root: Folder of the data set.
        task: ``"detection"``, ``"instances"``, ``"segmentation"``, ``"classification"`` or ``"localization"``.
        year: Which devkit to use, such as ``"2012"``, if there are several; by default the newest. Several years, such
            as ``["2007", "2012"]``, are joined; each split is formed from the devkits that have its list.
        train: Name of the training list in ``ImageSets``; if it does not exist, ``trainval`` or the only existing list
            is taken.
        val: Name of the validation list.
        test: Name of the test list; if it does not exist, the validation split is used instead.
        objects: Localization: ``"largest"`` uses the largest object of every image, ``"single"`` only images with a
            single object.
        download: Whether to download the data set of that year into ``root`` if it is not there yet.
        mirrors: Addresses of servers to try first, each replacing ``http://host.robots.ox.ac.uk/pascal/VOC``.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data.FileData`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the folder does not contain such a data set, or its annotations have errors (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("detection", "instances", "segmentation", "classification", "localization")
    background = True
    multilabel = True

    def __init__(
        self,
        root: str | Path = "data/voc",
        task: Literal["detection", "instances", "segmentation", "classification", "localization"] = "detection",
        *,
        year: str | Sequence[str] | None = None,
        train: str = "train",
        val: str = "val",
        test: str = "test",
        objects: Literal["largest", "single"] = "largest",
        download: bool = False,
        mirrors: Sequence[str] = (),
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        years = [] if year is None else [str(year)] if isinstance(year, str | int) else [str(one) for one in year]
        unknown = [one for one in years if one not in VOC]
        if download and unknown:
            message = f"VOC {unknown[0]} cannot be downloaded. {near_matches(unknown[0], VOC)}"
            raise ArgumentError(message)
        self.years = years
        self.set_names = {"train": train, "val": val, "test": test}
        self.objects = objects
        self.download = download
        self.mirrors = mirrors
        super().__init__(root, task, **kwargs)

    def values_of_masks(self) -> MaskValues | None:
        """Return the values or colours of the classes in the masks of a devkit."""
        if self.task != "segmentation":
            return None
        names = self.pixel_classes(self.splits.class_names)  # which reads the colours, if there are any
        return self.mask_values or MaskValues({name: value for value, name in enumerate(names)})

    def prepare_data(self) -> None:
        """Download missing files if ``download`` is set."""
        if self.download:
            for year in self.years or ["2012"]:
                download_archives(VOC[year], self.root, self.mirrors)

    def select(self, index: ImageIndex) -> ImageIndex:
        """Select the images with a single object if ``objects`` is ``"single"``."""
        if self.task != "localization" or self.objects == "largest":
            return index
        owners = np.repeat(np.arange(len(index)), np.diff(index.offsets))
        return index.subset(np.flatnonzero(np.bincount(owners[~index.ignore], minlength=len(index)) == 1))

    def find_source(
        self, split: str, class_names: tuple[str, ...] | None
    ) -> VocDevkit | VocInstances | VocDevkits | VocFolder | None:
        """Find the devkits and their lists, or the folder of images and XML files."""
        devkits = self._devkits()
        if len(devkits) > 1 and class_names is None:
            class_names = VOC_CLASSES
        found = [part for part in (self._devkit(devkit, split, class_names) for devkit in devkits) if part is not None]
        if devkits:
            return VocDevkits(tuple(found)) if len(found) > 1 else next(iter(found), None)
        if self.task in _BY_MASKS:
            raise layout_error(self.root, _DEVKITS, "For images and masks in folders use MaskFolderDataModule.")
        candidates = [*places(self.root, "VOCDataModule", SPLIT_NAMES[split])]
        if split == "train":
            candidates += places(self.root, "VOCDataModule")
        for place in candidates:
            if place.images == place.annotations and holds_xml(place.annotations):
                return VocFolder(place.annotations, class_names)
            if place.images is not None and holds_xml(place.annotations):
                images, annotations = (path.relative_to(self.root) for path in (place.images, place.annotations))
                return VocFolder(self.root, class_names, images.as_posix(), annotations.as_posix())
        if split != "train":
            return None
        raise layout_error(
            self.root, [*_DEVKITS, *described("VOCDataModule")], "Name the folder that holds one of them."
        )

    def _devkit(self, devkit: Path, split: str, class_names: tuple[str, ...] | None) -> VocDevkit | VocInstances | None:
        """Find the list of a split in a devkit."""
        kind: Literal["Main", "Segmentation"] = "Segmentation" if self.task in _BY_MASKS else "Main"
        folder, name = devkit / "ImageSets" / kind, self.set_names[split]
        if not (folder / f"{name}.txt").is_file():
            if split != "train":
                return None
            lists = {path.stem for path in folder.glob("*.txt")}
            there = lists - {self.set_names["val"], self.set_names["test"]}
            if lists and not there:
                raise layout_error(
                    devkit, [f"ImageSets/{kind}/{name}.txt"], f"Lists there: {', '.join(sorted(lists))}."
                )
            name = "trainval" if "trainval" in there else there.pop() if len(there) == 1 else name
        coloured = self.task in _BY_MASKS and (devkit / LABEL_MAP).is_file()
        if coloured:
            class_names = self._by_colours(devkit / LABEL_MAP, class_names)
        source = VocDevkit(devkit, name, kind, class_names)
        if class_names is None:
            source = replace(source, class_names=_classes(source))
        if self.task != "instances":
            return source
        names = source.class_names or load_index(source, strict=False).index.class_names
        colours = tuple(read_label_map(devkit / LABEL_MAP).items()) if coloured else ()
        source = replace(source, class_names=names)
        return VocInstances(source, VOC_CLASSES if {*names} <= {*VOC_CLASSES} else names, colours)

    def _by_colours(self, file: Path, class_names: tuple[str, ...] | None) -> tuple[str, ...]:
        """Take the classes of masks from the colours of a label map; return their names without the background."""
        colours = read_label_map(file)
        names = class_names or tuple(name for name in colours if name != "background")
        missing = [name for name in ("background", *names) if name not in colours]
        if missing:
            message = f"{str(file)!r} has no colour for {missing[0]!r}. {near_matches(missing[0], colours)}"
            raise DataError(message)
        if self.trained is None and self.task == "segmentation":
            self.mask_values = MaskValues({name: colours[name] for name in ("background", *names)})
        return names

    def _devkits(self) -> list[Path]:
        devkits = []
        for year in self.years:
            found = first_existing(self.root, (f"VOCdevkit/VOC{year}/ImageSets", f"VOC{year}/ImageSets"))
            if found is None:
                raise layout_error(self.root, [f"VOCdevkit/VOC{year}/ImageSets"], "Leave out year, or correct it.")
            devkits.append(found.parent)
        if not devkits:
            for pattern in ("ImageSets", "VOC[0-9]*/ImageSets", "VOCdevkit/VOC[0-9]*/ImageSets"):
                lists = sorted(self.root.glob(pattern))
                if lists:
                    return [lists[-1].parent]
        return devkits


def _classes(devkit: VocDevkit) -> tuple[str, ...] | None:
    """Return VOC's own classes if the annotations contain no others."""
    try:
        found = load_index(devkit).index.class_names
    except DataError:  # reported when the annotations are parsed
        return None
    return VOC_CLASSES if set(found) < set(VOC_CLASSES) else None
