"""The data modules that Lightning takes.

What they hold and do is in the classes of the data, which do without Lightning: importing it takes longer
than a check of annotations.
"""

from pathlib import Path
from typing import IO, Any, Self, cast

from lightning.pytorch import LightningDataModule

from visiontasks.data.datamodules.coco import COCOData
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.datamodules.folder import FolderData
from visiontasks.data.datamodules.mask_folder import MaskFolderData
from visiontasks.data.datamodules.table import CSVData
from visiontasks.data.datamodules.voc import VOCData
from visiontasks.data.datamodules.yolo import YOLOData
from visiontasks.data.vision_data import VisionData
from visiontasks.serialization import Source, load_file, open_source


class VisionDataModule(VisionData, LightningDataModule):
    __doc__ = VisionData.__doc__

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # narrower: no pickles, no hyperparameter files
        cls,
        checkpoint_path: Source,
        **kwargs: Any,  # noqa: ANN401 (the arguments of any subclass)
    ) -> Self:
        """Create the data module whose arguments a checkpoint holds, if it saves them by ``save_hyperparameters``.

        Args:
            checkpoint_path: A file, a remote address or a file object.
            **kwargs: Arguments that replace saved ones.

        Returns:
            The data module.

        Raises:
            CheckpointError: If the file is missing, damaged, or holds objects other than tensors and plain values.
        """
        with open_source(checkpoint_path) as content:
            load_file(content)  # verified and refused with our message, before Lightning reads it
            content.seek(0)
            return super().load_from_checkpoint(
                cast(IO[bytes], content), map_location="cpu", weights_only=True, **kwargs
            )


class FileDataModule(FileData, VisionDataModule):
    __doc__ = FileData.__doc__

    def __init__(
        self,
        root: str | Path,
        task: str,
        **kwargs: Any,  # noqa: ANN401 (the arguments of FileData)
    ) -> None:
        super().__init__(root, task, **kwargs)
        _ = self.transform  # a wrong augmentation is an error now, not when training starts


class COCODataModule(COCOData, FileDataModule):
    __doc__ = COCOData.__doc__


class CSVDataModule(CSVData, FileDataModule):
    __doc__ = CSVData.__doc__


class FolderDataModule(FolderData, FileDataModule):
    __doc__ = FolderData.__doc__


class MaskFolderDataModule(MaskFolderData, FileDataModule):
    __doc__ = MaskFolderData.__doc__


class VOCDataModule(VOCData, FileDataModule):
    __doc__ = VOCData.__doc__


class YOLODataModule(YOLOData, FileDataModule):
    __doc__ = YOLOData.__doc__
