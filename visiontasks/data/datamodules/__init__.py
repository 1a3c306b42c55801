"""Data sets in files and in memory, from their annotations to batches."""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.data.datamodules.coco import COCOData as COCOData
    from visiontasks.data.datamodules.folder import FolderData as FolderData
    from visiontasks.data.datamodules.mask_folder import MaskFolderData as MaskFolderData
    from visiontasks.data.datamodules.table import CSVData as CSVData
    from visiontasks.data.datamodules.voc import VOCData as VOCData
    from visiontasks.data.datamodules.yolo import YOLOData as YOLOData
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
