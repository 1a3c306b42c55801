"""visiontasks: PyTorch Lightning modules for vision tasks with interchangeable backbones.

Names are imported when they are first used, so that ``import visiontasks`` costs nothing and command-line help is
instant.
"""

from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:
    from visiontasks.backbones import Backbone as Backbone
    from visiontasks.backbones import create_backbone as create_backbone
    from visiontasks.backbones import list_backbones as list_backbones
    from visiontasks.data.datamodules.mnist import MNISTDataModule as MNISTDataModule
    from visiontasks.data.datamodules.shapes import ShapesDataModule as ShapesDataModule
    from visiontasks.data.lightning_modules import COCODataModule as COCODataModule
    from visiontasks.data.lightning_modules import CSVDataModule as CSVDataModule
    from visiontasks.data.lightning_modules import FolderDataModule as FolderDataModule
    from visiontasks.data.lightning_modules import MaskFolderDataModule as MaskFolderDataModule
    from visiontasks.data.lightning_modules import VisionDataModule as VisionDataModule
    from visiontasks.data.lightning_modules import VOCDataModule as VOCDataModule
    from visiontasks.data.lightning_modules import YOLODataModule as YOLODataModule
    from visiontasks.kinds import Kind as Kind
    from visiontasks.prediction import predict_images as predict_images
    from visiontasks.tasks.autoencoding import AutoencodingTask as AutoencodingTask
    from visiontasks.tasks.classification import ClassificationTask as ClassificationTask
    from visiontasks.tasks.detection import DetectionTask as DetectionTask
    from visiontasks.tasks.instance_segmentation import InstanceSegmentationTask as InstanceSegmentationTask
    from visiontasks.tasks.localization import LocalizationTask as LocalizationTask
    from visiontasks.tasks.segmentation import SegmentationTask as SegmentationTask
    from visiontasks.tasks.task import Task as Task
    from visiontasks.types import AutoencodingBatch as AutoencodingBatch
    from visiontasks.types import AutoencodingPredictions as AutoencodingPredictions
    from visiontasks.types import ClassificationBatch as ClassificationBatch
    from visiontasks.types import ClassificationPredictions as ClassificationPredictions
    from visiontasks.types import DetectionBatch as DetectionBatch
    from visiontasks.types import DetectionPredictions as DetectionPredictions
    from visiontasks.types import InstanceBatch as InstanceBatch
    from visiontasks.types import InstancePredictions as InstancePredictions
    from visiontasks.types import LocalizationBatch as LocalizationBatch
    from visiontasks.types import LocalizationPredictions as LocalizationPredictions
    from visiontasks.types import ProposalBatch as ProposalBatch
    from visiontasks.types import SegmentationBatch as SegmentationBatch
    from visiontasks.types import SegmentationPredictions as SegmentationPredictions
else:
    __all__, __getattr__, __dir__ = lazy_names(__name__)
