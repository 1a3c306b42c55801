"""visiontasks: PyTorch Lightning modules for vision tasks with interchangeable backbones.

Names are imported when they are first used, so that ``import visiontasks`` costs nothing and command-line help is
instant.
"""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from visiontasks.backbones import Backbone, create_backbone, list_backbones
    from visiontasks.data.data_module import VisionDataModule
    from visiontasks.data.datamodules.coco import COCODataModule
    from visiontasks.data.datamodules.folder import FolderDataModule
    from visiontasks.data.datamodules.mask_folder import MaskFolderDataModule
    from visiontasks.data.datamodules.mnist import MNISTDataModule
    from visiontasks.data.datamodules.shapes import ShapesDataModule
    from visiontasks.data.datamodules.table import CSVDataModule
    from visiontasks.data.datamodules.voc import VOCDataModule
    from visiontasks.data.datamodules.yolo import YOLODataModule
    from visiontasks.prediction import predict_images
    from visiontasks.tasks.autoencoding import AutoencodingTask
    from visiontasks.tasks.classification import ClassificationTask
    from visiontasks.tasks.detection import DetectionTask
    from visiontasks.tasks.localization import LocalizationTask
    from visiontasks.tasks.segmentation import SegmentationTask
    from visiontasks.tasks.task import Task
    from visiontasks.types import (
        AutoencodingBatch,
        AutoencodingPredictions,
        ClassificationBatch,
        ClassificationPredictions,
        DetectionBatch,
        DetectionPredictions,
        LocalizationBatch,
        LocalizationPredictions,
        ProposalBatch,
        SegmentationBatch,
        SegmentationPredictions,
    )

__version__ = "0.1.0.dev0"

_HOME = {
    "Backbone": "visiontasks.backbones",
    "create_backbone": "visiontasks.backbones",
    "list_backbones": "visiontasks.backbones",
    "VisionDataModule": "visiontasks.data.data_module",
    "COCODataModule": "visiontasks.data.datamodules.coco",
    "CSVDataModule": "visiontasks.data.datamodules.table",
    "FolderDataModule": "visiontasks.data.datamodules.folder",
    "MaskFolderDataModule": "visiontasks.data.datamodules.mask_folder",
    "VOCDataModule": "visiontasks.data.datamodules.voc",
    "YOLODataModule": "visiontasks.data.datamodules.yolo",
    "MNISTDataModule": "visiontasks.data.datamodules.mnist",
    "ShapesDataModule": "visiontasks.data.datamodules.shapes",
    "predict_images": "visiontasks.prediction",
    "Task": "visiontasks.tasks.task",
    "ClassificationTask": "visiontasks.tasks.classification",
    "LocalizationTask": "visiontasks.tasks.localization",
    "SegmentationTask": "visiontasks.tasks.segmentation",
    "DetectionTask": "visiontasks.tasks.detection",
    "AutoencodingTask": "visiontasks.tasks.autoencoding",
    "AutoencodingBatch": "visiontasks.types",
    "AutoencodingPredictions": "visiontasks.types",
    "ClassificationBatch": "visiontasks.types",
    "ClassificationPredictions": "visiontasks.types",
    "DetectionBatch": "visiontasks.types",
    "DetectionPredictions": "visiontasks.types",
    "LocalizationBatch": "visiontasks.types",
    "LocalizationPredictions": "visiontasks.types",
    "ProposalBatch": "visiontasks.types",
    "SegmentationBatch": "visiontasks.types",
    "SegmentationPredictions": "visiontasks.types",
}

__all__ = [
    "AutoencodingBatch",
    "AutoencodingPredictions",
    "AutoencodingTask",
    "Backbone",
    "COCODataModule",
    "CSVDataModule",
    "ClassificationBatch",
    "ClassificationPredictions",
    "ClassificationTask",
    "DetectionBatch",
    "DetectionPredictions",
    "DetectionTask",
    "FolderDataModule",
    "LocalizationBatch",
    "LocalizationPredictions",
    "LocalizationTask",
    "MNISTDataModule",
    "MaskFolderDataModule",
    "ProposalBatch",
    "SegmentationBatch",
    "SegmentationPredictions",
    "SegmentationTask",
    "ShapesDataModule",
    "Task",
    "VOCDataModule",
    "VisionDataModule",
    "YOLODataModule",
    "create_backbone",
    "list_backbones",
    "predict_images",
]

__getattr__, __dir__ = lazy_names(__name__, _HOME)
