"""Images and masks in folders or lists, for segmentation and instances."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import first_existing, layout_error, spelled
from visiontasks.data.images.mask_values import IGNORE, MaskValues, read_classes, several
from visiontasks.data.index.folders import MaskFolders, MaskList
from visiontasks.data.index.instance_folders import BACKGROUND, InstanceFolders
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.errors import ArgumentError, DataError, listed
from visiontasks.types import IGNORED

_IMAGES = ("images", "image", "imgs", "JPEGImages")
_MASKS = ("masks", "mask", "annotations", "labels", "SegmentationClass")
_SUFFIXES = ("annot", "_annot", "_masks", "_labels")
_EXPECTED = (
    "train.txt, val.txt, test.txt with an image and its mask in each line (CamVid's form)",
    "images/train/ and masks/train/",
    "train/images/ and train/masks/",
    "train/ and trainannot/ (or train_masks/, train_labels/)",
    "images/ and masks/: split at random",
)


class MaskFolderData(FileData):
    """Images and masks in parallel folders or two-column lists, for segmentation and instances.

    A mask is a losslessly compressed image with one channel whose values are the classes; the colours of a palette do
    not matter. An image and its mask have the same name except for the suffix and for one ending that all masks may
    have (``1_mask.png``). The following layouts below ``root`` are recognised: lists as in CamVid, ``images/train`` and
    ``masks/train``, ``train/images`` and ``train/masks``, ``train`` and ``trainannot``, or ``images`` and ``masks``
    alone, split at random. The folder of the images may be called images, image, imgs or JPEGImages, that of the masks
    masks, mask, annotations, labels or SegmentationClass, capitalised or not.

    For instances, a folder beside these holds a file for each image whose pixels are the number of their object, 0 for
    none, see :class:`~visiontasks.data.index.instance_folders.InstanceFolders`. The masks of classes may be missing if
    there is one class besides ``background``, which is no class of objects.

    Args:
        root: Folder of the data set.
        task: ``"segmentation"`` or ``"instances"``.
        class_names: Names of the pixel values 0, 1, 2, ..., including a background; by default those of
            ``classes.txt``, ``classes.yaml`` or ``labelmap.txt`` in ``root``, which may give values or colours, too
            (see :func:`~visiontasks.data.images.mask_values.read_classes`).
        mask_values: Values or colours of the classes by their names, if they are not 0, 1, 2, ...: ``{"road": 7, "car":
            [26, 27], "ignore": 0}`` or ``{"road": "128,64,128"}``; those of ``"ignore"`` are ignored.
        ignore_index: Value of pixels that loss and metrics ignore (11 in CamVid); 255 in batches.
        images: Folder of the images, relative to ``root``, if it has another name.
        masks: Folder of the masks, relative to ``root``, if it has another name.
        instances: Folder of the numbers of objects, relative to ``root``, by default ``instances``.
        label_divisor: Number by which these are divided for the value of the class: 1000 for ``class * 1000 + number``.
            Of numbers below it, which are classes, objects are not told apart: they are one that is ignored.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data.FileData`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the folder does not contain such a data set, or the class names are not known (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("segmentation", "instances")

    def __init__(
        self,
        root: str | Path = "data",
        task: Literal["segmentation", "instances"] = "segmentation",
        *,
        class_names: Sequence[str] | None = None,
        mask_values: Mapping[str, int | str | list[int] | list[str]] | None = None,
        ignore_index: int = IGNORED,
        images: str | None = None,
        masks: str | None = None,
        instances: str | None = None,
        label_divisor: int | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        self.ignore_index = ignore_index
        self.folders = None if images is None and masks is None else (images or "images", masks or "masks")
        if mask_values is not None:
            if class_names is not None:
                message = "class_names and mask_values are given, and both name the classes; expected one of them."
                raise ArgumentError(message)
            self.mask_values = MaskValues(mask_values, ignore_index)
        if task != "instances" and (instances, label_divisor) != (None, None):
            message = (
                f"instances and label_divisor are those of task 'instances', and task is {task!r}. Leave them out."
            )
            raise ArgumentError(message)
        if label_divisor is not None and label_divisor < 2:
            message = f"label_divisor is {label_divisor}; expected at least 2, such as 1000."
            raise ArgumentError(message)
        self.images, self.masks, self.instances, self.label_divisor = (
            images,
            masks,
            instances or "instances",
            label_divisor,
        )
        self.value_names = None if class_names is None else tuple(class_names)
        if task == "instances" and class_names is not None:
            class_names = [name for name in class_names if name != BACKGROUND]
        super().__init__(root, task, class_names=class_names, **kwargs)

    def find_source(
        self, split: str, class_names: tuple[str, ...] | None
    ) -> MaskFolders | MaskList | InstanceFolders | None:
        """Find the list of a split, or its folders."""
        if self.task == "instances":
            return self._find_instances(split, class_names)
        if class_names is None:
            class_names = self._named_classes()
        listed, parallel = self._list(split, class_names), self._parallel(split, class_names)
        # Lists of images may have the names under which lists of pairs are searched for.
        source = parallel or listed if self._splits.lists else listed or parallel
        if source is None and split == "train":
            expected = _EXPECTED if self.folders is None else [" and ".join(self.folders)]
            raise layout_error(self.root, expected, "Name the folders with images='...' and masks='...'.")
        return source

    def values_of_masks(self) -> MaskValues | None:
        """Return the values of the classes, if they are given or named in a file; not for instances."""
        if self.task == "instances":  # whose annotations are read as objects
            return None
        if self.mask_values is not None:
            return self.mask_values
        given = self.splits.named or read_classes(self.root, self.ignore_index)
        if given is None or isinstance(given, MaskValues):
            return given
        return MaskValues({name: value for value, name in enumerate(given)}, self.ignore_index)

    def _list(self, split: str, class_names: tuple[str, ...]) -> MaskList | None:
        names = [f"{name}.txt" for name in SPLIT_NAMES[split]]
        file = first_existing(self.root, names) if self.folders is None else None
        return MaskList(file, self.root, class_names) if file else None

    def _parallel(self, split: str, class_names: tuple[str, ...]) -> MaskFolders | None:
        kinds = [self.folders] if self.folders else [(images, masks) for images in _IMAGES for masks in _MASKS]
        suffixes = _SUFFIXES if self.folders is None else ()
        pair = next(self._pairs(SPLIT_NAMES[split], kinds, suffixes), None)
        return None if pair is None else MaskFolders(self.root, *pair, class_names)

    def _pairs(
        self, names: Sequence[str], kinds: Sequence[tuple[str, str]], suffixes: Sequence[str] = ()
    ) -> Iterator[tuple[str, str]]:
        """Yield the pairs of folders that may contain the images and masks of a split, the likeliest first."""
        pairs = [(f"{images}/{name}", f"{masks}/{name}") for images, masks in kinds for name in names]
        pairs += [(f"{name}/{images}", f"{name}/{masks}") for images, masks in kinds for name in names]
        pairs += [(name, f"{name}{suffix}") for name in names for suffix in suffixes]
        for pair in [*pairs, *(kinds if "train" in names else [])]:
            images, masks = (spelled(self.root, name) for name in pair)
            if images and masks and (self.root / images).is_dir() and (self.root / masks).is_dir():
                yield images, masks

    def _find_instances(self, split: str, class_names: tuple[str, ...] | None) -> InstanceFolders | None:
        """Find the folders of images and numbers of objects, and that of the masks of classes if there is one."""
        of_images = _IMAGES if self.images is None else (self.images,)
        kinds = [(images, self.instances) for images in of_images]
        pair = next(self._pairs(SPLIT_NAMES[split], kinds), None)
        if pair is None:
            if split == "train":
                kinds_named = [
                    f"{kinds[0][0]}/train/ and {self.instances}/train/",
                    f"{kinds[0][0]}/ and {self.instances}/",
                ]
                raise layout_error(self.root, kinds_named, "Name the folders with images='...' and instances='...'.")
            return None
        of_masks = _MASKS if self.masks is None else (self.masks,)
        beside = self._pairs(SPLIT_NAMES[split], [(images, masks) for images in of_images for masks in of_masks])
        masks = next((masks for images, masks in beside if images == pair[0]), None) if not self.label_divisor else None
        values = self._values_of_classes(class_names if masks is None else None)
        objects = class_names or tuple(name for name in values if name not in (BACKGROUND, IGNORE))
        if masks is None and self.label_divisor is None and len(objects) > 1:
            message = (
                f"{str(self.root)!r} has the numbers of objects in {pair[1]!r}, and nothing says which of the classes "
                f"{listed(objects)} each is: put a mask of classes for each image into a folder masks (named by "
                "masks='...'), or give label_divisor if the numbers say it."
            )
            raise DataError(message)
        return InstanceFolders(
            self.root, *pair, masks, tuple(values.items()), objects, self.label_divisor, self.ignore_index
        )

    def _values_of_classes(self, class_names: tuple[str, ...] | None) -> dict[str, tuple[int | str, ...]]:
        """Return the values or colours of each class by its name."""
        given: tuple[str, ...] | MaskValues | None = self.mask_values
        given = given or self.value_names or read_classes(self.root, self.ignore_index) or class_names
        given = self._named_classes() if given is None else given
        if isinstance(given, MaskValues):
            return {name: tuple(several(written)) for name, written in given.classes.items()}
        return {name: (value,) for value, name in enumerate(given)}

    def _named_classes(self) -> tuple[str, ...]:
        """Return the classes that mask_values, or a file beside the images, names."""
        if self.mask_values is None:
            named = read_classes(self.root, self.ignore_index)
            if named is None:
                message = (
                    f"the masks of {str(self.root)!r} hold numbers, and nothing says which classes they are. Give "
                    "class_names=['background', ...], the name of each value from 0 on, or write them into "
                    f"{str(self.root / 'classes.txt')!r}, one in a line."
                )
                raise DataError(message)
            if not isinstance(named, MaskValues):
                return named
            self.mask_values = named
        return self.mask_values.class_names
