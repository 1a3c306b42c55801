"""The cases of gains.py: data sets with their start, and the augmentation and switches that are tried on them."""

import os
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common import data_root
from contests import ROAD, pretrained

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    COCODataModule,
    DetectionTask,
    FolderDataModule,
    LocalizationTask,
    MaskFolderDataModule,
    MNISTDataModule,
    SegmentationTask,
    VOCDataModule,
)

EFFICIENT = {"backbone": "timm/tf_efficientnet_lite0", "normalization": "unit"}


class Item(NamedTuple):
    """Something that is tried.

    Attributes:
        data: Arguments of the data module that change.
        task: Arguments of the task that change; those of the backbone under ``backbone_options``.
        averaged: Whether the weights are averaged, as by ``--trainer.callbacks+=EMAWeightAveraging``.
        evaluation: Whether the training is that of the plain case, and only its evaluation changes.
    """

    data: Mapping[str, Any] = {}
    task: Mapping[str, Any] = {}
    averaged: bool = False
    evaluation: bool = False


class Case(NamedTuple):
    """A data set with a start: random weights, or those of ImageNet.

    Attributes:
        data: Makes the data module from the folder of data sets and arguments.
        task: Makes the task from the data module and arguments.
        metric: What it is judged by, on the validation images; higher is better.
        seconds: Processor time of a training.
        items: What is tried, by name.
    """

    data: Callable[..., Any]
    task: Callable[..., Any]
    metric: str
    seconds: float
    items: Mapping[str, Item]


AVERAGED = {"averaged weights": Item(averaged=True)}
DEPTH = {"stochastic depth 0.1": Item(task={"backbone_options": {"stochastic_depth": 0.1}})}
DECAY = {
    "layer decay 0.9": Item(task={"layer_decay": 0.9}),
    "layer decay 0.75": Item(task={"layer_decay": 0.75}),
}
CLASSES = {
    "trivial": Item({"augmentation": "trivial"}),
    "randaugment": Item({"augmentation": "randaugment"}),
    "erasing": Item({"augmentation": "erasing"}),
    "label smoothing 0.1": Item(task={"label_smoothing": 0.1}),
    "mixup 0.2, label smoothing 0.1": Item(task={"mixup": 0.2, "label_smoothing": 0.1}),
}
LARGER = {"evaluation at 192 x 192": Item({"eval_size": (192, 192)}, evaluation=True)}
BOXES = {
    "large-scale jitter": Item({"augmentation": "large-scale-jitter"}),
    "copy-paste": Item({"augmentation": "copy-paste"}),
    "large-scale jitter, copy-paste": Item({"augmentation": "large-scale-jitter+copy-paste"}),
    "repeat factors 0.5": Item({"repeat_threshold": 0.5}),
    "balanced": Item({"balanced": True}),
    "GIoU loss of boxes": Item(task={"box_loss": "giou"}),
    "soft NMS, Gaussian": Item(task={"box_soft_nms": "gaussian"}, evaluation=True),
    "flipped at the test": Item(task={"test_time_flips": "horizontal"}, evaluation=True),
    "scales 0.8, 1, 1.25 at the test": Item(task={"test_time_scales": (0.8, 1.0, 1.25)}, evaluation=True),
}
PIXELS = {
    "one scale": Item({"crop_scale": (1.0, 1.0)}),
    "class-aware crops": Item({"augmentation": "class-aware"}),
    "flipped at the test": Item(task={"test_time_flips": "horizontal"}, evaluation=True),
    "scales 0.8, 1, 1.25 at the test": Item(task={"test_time_scales": (0.8, 1.0, 1.25)}, evaluation=True),
}
CARDS: dict[str, Any] = {"image_size": (160, 160), "batch_size": 16, "eval_batch_size": 33}
MEMORY: dict[str, Any] = {"num_workers": 0, "cache": True, "drop_last": True}


def cards(root: Path, **options: Any) -> VOCDataModule:
    """Photographs of cards with their boxes, 160 x 160."""
    return VOCDataModule(root / "cards", "localization", **{**CARDS, **MEMORY, **options})


def cards_by_class(root: Path, **options: Any) -> FolderDataModule:
    """The same photographs in a folder for each class, 160 x 160."""
    folder = Path(tempfile.gettempdir()) / f"cards_by_class_{os.getpid()}"
    source = root / "cards" / "VOCdevkit" / "VOC2007"
    for split in ("train", "val"):
        for stem in (source / "ImageSets" / "Main" / f"{split}.txt").read_text().split():
            name = re.search(r"<name>(\w+)</name>", (source / "Annotations" / f"{stem}.xml").read_text())
            link = folder / split / (name[1] if name else "") / f"{stem}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(source / "JPEGImages" / f"{stem}.jpg")
    return FolderDataModule(folder, **{**CARDS, **MEMORY, **options})


def digits(root: Path, **options: Any) -> MNISTDataModule:
    """Digits, turned and moved a little."""
    size: dict[str, Any] = {"num_workers": 0, "batch_size": 128, "eval_batch_size": 1000, "augmentation": "default"}
    return MNISTDataModule(root, **{**size, **options})


def blood(root: Path, **options: Any) -> COCODataModule:
    """Blood cells, 120 x 160."""
    size: dict[str, Any] = {"shorter": 120, "longer": 160, "batch_size": 4, "eval_batch_size": 8}
    images = "VOCdevkit/VOC2007/JPEGImages"
    return COCODataModule(root / "BCCD", "detection", images=images, **{**size, **MEMORY, **options})


def photographs(root: Path, **options: Any) -> COCODataModule:
    """Photographs of COCO, 192 x 256."""
    size: dict[str, Any] = {"shorter": 192, "longer": 256, "batch_size": 4, "eval_batch_size": 8}
    return COCODataModule(root / "coco", "detection", **{**size, **MEMORY, **options})


def road(root: Path, **options: Any) -> MaskFolderDataModule:
    """Road scenes at half their size."""
    size: dict[str, Any] = {"scale": 0.5, "image_size": (128, 160), "batch_size": 16, "eval_batch_size": 4}
    return MaskFolderDataModule(root / "CamVid", class_names=ROAD, ignore_index=11, **{**size, **MEMORY, **options})


def outdoors(root: Path, **options: Any) -> VOCDataModule:
    """Fifty photographs with VOC's classes at half their size."""
    size: dict[str, Any] = {"scale": 0.5, "image_size": (160, 160), "batch_size": 8, "eval_batch_size": 4}
    return VOCDataModule(root / "coco_as_voc", "segmentation", **{**size, **MEMORY, **options})


def scratch(task: Callable[..., Any], **own: Any) -> Callable[..., Any]:
    """A ResNet-18 from random weights."""

    def make(data: Any, **options: Any) -> Any:
        return task(data.num_classes, **{"backbone": "resnet18", **own, **options})

    return make


def from_weights(task: Callable[..., Any], **own: Any) -> Callable[..., Any]:
    """An EfficientNet-Lite0 from ImageNet's weights."""

    def make(data: Any, **options: Any) -> Any:
        own_weights = {"backbone_weights": pretrained(data_root("cards") / "cards")}
        return task(data.num_classes, **{**EFFICIENT, **own_weights, **own, **options})

    return make


def code(data: Any, **options: Any) -> AutoencodingTask:
    """An autoencoder of digits or cards."""
    if data.in_channels == 1:
        own: dict[str, Any] = {"in_channels": 1, "image_size": (28, 28), "backbone_options": {"filters": [32, 64, 128]}}
    else:
        own = {"image_size": (160, 160), "backbone_options": {"filters": [32, 64, 128, 128]}}
    return AutoencodingTask(**{"code_size": 64, "bank_size": 0, **own, **options})


SMALL = {"filters": [32, 64, 128], "depth": [1, 2, 2], "kernel_size": [5, 3, 3], "stride": 2, "pool": "none"}
SMALL_ANCHORS = {"anchor_scales": (4.0,)}
CASES = {
    "mnist": Case(
        digits,
        lambda data, **options: ClassificationTask(10, in_channels=1, backbone_options=SMALL, **options),
        "val/accuracy",
        60,
        CLASSES | AVERAGED,
    ),
    "cards, class": Case(
        cards_by_class, scratch(ClassificationTask), "val/accuracy", 90, CLASSES | AVERAGED | DEPTH | LARGER
    ),
    "cards, class, weights": Case(
        cards_by_class, from_weights(ClassificationTask), "val/accuracy", 90, CLASSES | AVERAGED | DECAY | LARGER
    ),
    "cards": Case(cards, scratch(LocalizationTask), "val/mean_iou", 90, AVERAGED | DEPTH | LARGER),
    "cards, weights": Case(cards, from_weights(LocalizationTask), "val/mean_iou", 90, AVERAGED | DECAY | LARGER),
    "bccd": Case(blood, scratch(DetectionTask, **SMALL_ANCHORS), "val/map", 200, BOXES | AVERAGED | DEPTH),
    "bccd, weights": Case(
        blood, from_weights(DetectionTask, **SMALL_ANCHORS), "val/map", 200, BOXES | AVERAGED | DECAY
    ),
    "coco, weights": Case(
        photographs, from_weights(DetectionTask, **SMALL_ANCHORS), "val/map", 300, BOXES | AVERAGED | DECAY
    ),
    "camvid": Case(road, scratch(SegmentationTask), "val/miou", 150, PIXELS | AVERAGED | DEPTH),
    "camvid, weights": Case(road, from_weights(SegmentationTask), "val/miou", 150, PIXELS | AVERAGED | DECAY),
    "voc, weights": Case(outdoors, from_weights(SegmentationTask), "val/miou", 100, PIXELS | AVERAGED | DECAY),
    "mnist, code": Case(digits, code, "val/mse", 40, AVERAGED),
    "cards, code": Case(cards_by_class, code, "val/mse", 60, AVERAGED),
}
