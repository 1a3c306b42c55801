"""Folders of images: one per class, or one for all images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import first_existing, layout_error, module_of
from visiontasks.data.index.file_names import list_files
from visiontasks.data.index.folders import ClassFolders, ImageFolder, subfolders
from visiontasks.data.index.splits import SPLIT_NAMES
from visiontasks.data.messages import warn
from visiontasks.errors import DataError

_EXPECTED = ("train/CLASS/image.jpg, val/CLASS/, test/CLASS/", "CLASS/image.jpg")
_SHOWN = 10
_MASKS = {"mask", "masks", "segmentationclass"}
_PARTS = {
    *("image", "images", "img", "imgs", "jpegimages", "data", "xmls", "imagesets", "segmentationobject"),
    *("annotation", "annotations", "ann", "anns", "label", "labels", *_MASKS),
    *("train2014", "train2017", "val2014", "val2017", "test2014", "test2015", "test2017", "unlabeled2017"),
}
"""Names of folders that hold parts of a data set, in lower case."""


class FolderData(FileData):
    """Images in one folder per class for classification, or in any folder for autoencoding.

    The following folders below ``root`` are recognised: ``train/CLASS/``, ``val/CLASS/`` (or ``valid``, ``validation``,
    ``dev``) and ``test/CLASS/``, capitalised or not, for evaluation also without the first; or ``CLASS/`` alone, split
    at random with the same fraction of each class. A folder called ``train`` beside other folders of images, without
    those of other splits, is a class if it holds no folders, or if ``class_names`` says so. For autoencoding the class
    folders may be left out; if they exist, the codes are evaluated by these classes.

    Args:
        root: Folder of the data set.
        task: ``"classification"`` or ``"autoencoding"``.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data.FileData`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the folder contains no images (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("classification", "autoencoding")

    def __init__(
        self,
        root: str | Path = "data",
        task: Literal["classification", "autoencoding"] = "classification",
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        self._stated = tuple(kwargs.get("class_names") or ())
        super().__init__(root, task, **kwargs)

    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> ClassFolders | ImageFolder | None:
        """Find the folder of a split."""
        folders = {name: first_existing(self.root, aliases) for name, aliases in SPLIT_NAMES.items()}
        evaluates = self._is_evaluation(folders)
        folder = None if self._is_class(folders) else folders[split]
        if split != "train":
            if folder is None or not (folders["train"] or evaluates):
                return None
            if self.task == "classification" and not subfolders(folder):
                warn(f"{str(folder)!r} has no folders of classes; it is left out.")
                return None
            return self._source(folder, class_names)
        nested = [path for path in subfolders(self.root) if first_existing(path, SPLIT_NAMES[split])]
        if folder is None and folders["train"] is None and len(nested) == 1:
            raise layout_error(self.root, _EXPECTED, f"Did you mean root={str(nested[0])!r}?")
        if evaluates:
            raise layout_error(self.root, _EXPECTED, "Its folders are those of evaluation: there is none for training.")
        if self.task == "classification":
            self._refuse_other_forms(folder or self.root)
        return self._source(folder or self.root, class_names)

    def _is_evaluation(self, folders: Mapping[str, Path | None]) -> bool:
        """Return whether all folders are splits without one for training: they hold folders of classes."""
        held = subfolders(self.root)
        if folders["train"] or any(path.name in self._stated for path in held):
            return False
        return bool(held) and all(path in folders.values() and subfolders(path) for path in held)

    def _is_class(self, folders: Mapping[str, Path | None]) -> bool:
        """Return whether the folder called like the training split is a class beside others.

        Raises:
            DataError: It may be either.
        """
        train = folders["train"]
        if self.task != "classification" or train is None or folders["val"] or folders["test"]:
            return False
        others = [path.name for path in subfolders(self.root) if path != train and list_files(path)]
        if not others or self._stated:
            return train.name in self._stated
        if not any(map(list_files, subfolders(train))):
            return True
        classes, inside = sorted([*others, train.name]), [path.name for path in subfolders(train)]
        message = (
            f"{str(train)!r} may be the training split, or a class beside {', '.join(others[:_SHOWN])}. Say which by "
            f"the names of the classes: class_names=[{', '.join(classes[:_SHOWN])}] or "
            f"class_names=[{', '.join(inside[:_SHOWN])}]."
        )
        raise DataError(message)

    def _refuse_other_forms(self, folder: Path) -> None:
        """Refuse folders that are not of classes, such as images beside their annotations.

        Raises:
            DataError: The data set is of another form.
        """
        names = {path.name.lower() for path in subfolders(folder)}
        if self._stated or (len(names) > 1 and not names <= _PARTS):
            return
        module = module_of(self.root)
        if module is None and names & _MASKS:
            module = "MaskFolderDataModule"
        if module is not None:
            found = f"Its folders are not classes but {', '.join(sorted(names))}. " if names & _PARTS else ""
            raise layout_error(folder, _EXPECTED, f"{found}It looks like data for {module}.")

    def _source(self, folder: Path, class_names: tuple[str, ...] | None) -> ClassFolders | ImageFolder:
        classes = subfolders(folder)
        if class_names or (classes and class_names is None):
            return ClassFolders(folder, class_names or None)
        if self.task == "classification" and not classes:
            raise layout_error(folder, _EXPECTED, "A folder without classes is data for task='autoencoding'.")
        return ImageFolder(folder)
