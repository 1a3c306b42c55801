"""Folders of images: one per class, or one for all images."""

from pathlib import Path
from typing import Any, ClassVar, Literal

from lightning.pytorch.utilities import rank_zero_warn

from visiontasks.data.datamodules.file_data_module import FileDataModule
from visiontasks.data.datamodules.file_tasks import TaskName
from visiontasks.data.datamodules.layouts import first_existing, layout_error
from visiontasks.data.index.folders import ClassFolders, ImageFolder, subfolders
from visiontasks.data.index.splits import SPLIT_NAMES

_EXPECTED = ("train/CLASS/image.jpg, val/CLASS/, test/CLASS/", "CLASS/image.jpg")


class FolderDataModule(FileDataModule):
    """Images in one folder per class for classification, or in any folder for autoencoding.

    The following folders below ``root`` are recognised: ``train/CLASS/``, ``val/CLASS/`` (or ``valid``, ``validation``,
    ``dev``) and ``test/CLASS/``, capitalised or not; or ``CLASS/`` alone, split at random with the same fraction of
    each class. For autoencoding the class folders may be left out; if they exist, the codes are evaluated by these
    classes.

    Args:
        root: Folder of the data set.
        task: ``"classification"`` or ``"autoencoding"``.
        **kwargs: Arguments of :class:`~visiontasks.data.datamodules.file_data_module.FileDataModule`.

    Raises:
        ArgumentError: If an argument is out of range.
        DataError: If the folder contains no images (when first used).
    """

    tasks: ClassVar[tuple[TaskName, ...]] = ("classification", "autoencoding")

    def __init__(
        self,
        root: str | Path = "data",
        task: Literal["classification", "autoencoding"] = "classification",
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileDataModule)
    ) -> None:
        super().__init__(root, task, **kwargs)

    def find_source(self, split: str, class_names: tuple[str, ...] | None) -> ClassFolders | ImageFolder | None:
        """Find the folder of a split."""
        folder = first_existing(self.root, SPLIT_NAMES[split])
        if split != "train":
            if folder is None or first_existing(self.root, SPLIT_NAMES["train"]) is None:
                return None
            if self.task == "classification" and not subfolders(folder):
                rank_zero_warn(f"{str(folder)!r} has no folders of classes; it is left out.")
                return None
            return self._source(folder, class_names)
        nested = [] if folder else [path for path in subfolders(self.root) if first_existing(path, SPLIT_NAMES[split])]
        if len(nested) == 1:
            raise layout_error(self.root, _EXPECTED, f"Did you mean root={str(nested[0])!r}?")
        return self._source(folder or self.root, class_names)

    def _source(self, folder: Path, class_names: tuple[str, ...] | None) -> ClassFolders | ImageFolder:
        classes = subfolders(folder)
        if class_names or (classes and class_names is None):
            return ClassFolders(folder, class_names or None)
        if self.task == "classification" and not classes:
            raise layout_error(folder, _EXPECTED, "A folder without classes is data for task='autoencoding'.")
        return ImageFolder(folder)
