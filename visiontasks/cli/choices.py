"""The classes that can be given on the command line by name, without a module path."""

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    COCODataModule,
    CSVDataModule,
    DetectionTask,
    FolderDataModule,
    LocalizationTask,
    MaskFolderDataModule,
    MNISTDataModule,
    SegmentationTask,
    ShapesDataModule,
    VOCDataModule,
    YOLODataModule,
)
from visiontasks.data.data_module import VisionDataModule
from visiontasks.tasks.task import Task

TASKS: tuple[type[Task], ...] = (
    ClassificationTask,
    LocalizationTask,
    DetectionTask,
    SegmentationTask,
    AutoencodingTask,
)
DATA_MODULES: tuple[type[VisionDataModule], ...] = (
    ShapesDataModule,
    MNISTDataModule,
    FolderDataModule,
    CSVDataModule,
    COCODataModule,
    VOCDataModule,
    YOLODataModule,
    MaskFolderDataModule,
)
