"""The contests of learning_curves.py: five tasks on two data sets each, our network and a peer's, and their scores."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torchvision
from peers import Autoencoder, Classifier, Detector, Localizer, Outliner, Peer, Segmenter, plain_cnn
from torch import Tensor, nn

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    COCODataModule,
    DetectionTask,
    InstanceSegmentationTask,
    LocalizationTask,
    MaskFolderDataModule,
    MNISTDataModule,
    SegmentationTask,
    ShapesDataModule,
    VOCDataModule,
)
from visiontasks.losses.box import paired_iou
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.metrics.coco_scoring import coco_scores
from visiontasks.metrics.confusion import ConfusionMatrix
from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.mask_average_precision import MaskAveragePrecision
from visiontasks.tasks.fresh_statistics import FreshStatistics

ROAD = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
MEMORY: dict[str, Any] = {"num_workers": 0, "cache": True}
# The layers of the peer's encoder.
STRIDED = {"depth": 1, "stride": 2, "pool": "none"}


class Contest(NamedTuple):
    """A task on a data set.

    Attributes:
        data: Makes the data module for a seed.
        ours: Makes our task, from the data module.
        peer: Makes the other network.
        score: Scores predictions of validation batches, by names; higher is better.
        seconds: Processor time of a training.
    """

    data: Callable[[Path, int], Any]
    ours: Callable[[Any], Any]
    peer: Callable[[Any], Peer]
    score: Callable[[Iterable[tuple[Any, Any]], Any], dict[str, float]]
    seconds: float


class Ours(nn.Module):
    """A task of ours, as the loop takes it."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.task = task
        # What a Trainer would do around the first step.
        self.statistics = FreshStatistics()

    def begin(self) -> None:
        """Prepare the first step."""
        self.statistics.begin(self.task)

    def complete(self) -> None:
        """Complete a step."""
        self.statistics.complete()

    def loss(self, batch: Any) -> Tensor:
        """Add the terms of the loss."""
        terms: Tensor = sum(self.task.losses(self.task(*self.task.inputs(batch)), batch).values())
        return terms

    def predict(self, batch: Any) -> Any:
        """Predict in the peers' form."""
        found = self.task.predict(self.task(*self.task.inputs(batch)))
        match self.task:
            case InstanceSegmentationTask():
                return found
            case DetectionTask():
                columns = zip(found.boxes, found.scores, found.labels, strict=True)
                return [{"boxes": b[k >= 0], "scores": s[k >= 0], "labels": k[k >= 0]} for b, s, k in columns]
            case LocalizationTask():
                return found.labels, found.boxes
            case AutoencodingTask():
                return found.images
        return found.labels


def accuracy(pairs: Iterable[tuple[Any, Any]], data: Any) -> dict[str, float]:
    """Share of the images whose class is right."""
    return {"accuracy": torch.cat([found == batch.labels for found, batch in pairs]).float().mean().item()}


def mean_iou(pairs: Iterable[tuple[Any, Any]], data: Any) -> dict[str, float]:
    """Mean over the classes of intersection over union of the pixels."""
    matrix = ConfusionMatrix(data.num_classes)
    for found, batch in pairs:
        matrix.update(labels=found.to(torch.uint8), masks=batch.masks)
    return {"mean IoU": float(matrix.compute()["miou"])}


def box_iou(pairs: Iterable[tuple[Any, Any]], data: Any) -> dict[str, float]:
    """Mean over the images of the box's IoU, 0 where the class is wrong."""
    scores = [paired_iou(boxes, batch.boxes) * (labels == batch.labels) for (labels, boxes), batch in pairs]
    return {"box IoU": torch.cat(scores).mean().item()}


def average_precision(pairs: Iterable[tuple[Any, Any]], data: Any) -> dict[str, float]:
    """COCO's AP, in the size of the batch."""
    rows: dict[str, list[Tensor]] = {name: [] for name in ("image", "box", "label", "score", "of", "true", "kind")}
    count = 0
    for found, batch in pairs:
        for one, boxes, labels, ignore in zip(found, batch.boxes, batch.labels, batch.ignore, strict=True):
            kept = (labels >= 0) & ~ignore
            rows["image"].append(torch.full((len(one["labels"]),), count))
            rows["of"].append(torch.full((int(kept.sum()),), count))
            for name, values in (("box", one["boxes"]), ("label", one["labels"]), ("score", one["scores"])):
                rows[name].append(values)
            rows["true"].append(boxes[kept])
            rows["kind"].append(labels[kept])
            count += 1
    flat = {
        name: torch.cat(values).to(torch.float64 if name in ("box", "true", "score") else torch.int64).numpy()
        for name, values in rows.items()
    }
    boxes = flat["true"]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    objects = TrueObjects(flat["of"], boxes, flat["kind"], np.zeros(len(boxes), bool), areas)
    detections = Detections(flat["image"], flat["box"], flat["label"], flat["score"])
    return {"AP": coco_scores(detections, objects, data.num_classes).summary()["map"]}


def mask_precision(pairs: Iterable[tuple[Any, Any]], data: Any) -> dict[str, float]:
    """COCO's AP of masks, in the size of the original images, and of boxes."""
    masks, boxes = MaskAveragePrecision(data.num_classes), CocoAveragePrecision(data.num_classes)
    for found, batch in pairs:
        for metric in (masks, boxes):
            metric.update(found, batch)
    return {"mask AP": masks.compute()["mask_map"].item(), "box AP": boxes.compute()["map"].item()}


def likeness(pairs: Iterable[tuple[Any, Any]], data: Any) -> dict[str, float]:
    """Signal to noise of the reconstructions in decibel, of the mean squared error of all pixels."""
    errors = [(found.float() - batch.images.float() / 255).square().flatten(1).mean(1) for found, batch in pairs]
    return {"dB": -10 * math.log10(torch.cat(errors).mean().item())}


def cards(root: Path, seed: int) -> VOCDataModule:
    """Photographs of cards, 160 x 160."""
    size: dict[str, Any] = {"image_size": (160, 160), "batch_size": 16, "eval_batch_size": 33}
    return VOCDataModule(root / "cards", "localization", drop_last=True, seed=seed, **size, **MEMORY)


def mnist(root: Path, seed: int) -> MNISTDataModule:
    """Digits."""
    return MNISTDataModule(root, batch_size=128, eval_batch_size=1000, num_workers=0, seed=seed)


def blood(root: Path, seed: int) -> COCODataModule:
    """Blood cells, 120 x 160."""
    options: dict[str, Any] = {"images": "VOCdevkit/VOC2007/JPEGImages", "image_size": (120, 160), "batch_size": 4}
    return COCODataModule(root / "BCCD", "detection", drop_last=True, seed=seed, eval_batch_size=8, **options, **MEMORY)


def road(root: Path, seed: int) -> MaskFolderDataModule:
    """Road scenes at about half their size."""
    size: dict[str, Any] = {"image_size": (128, 160), "crop_scale": (0.35, 0.9), "batch_size": 16, "eval_batch_size": 4}
    return MaskFolderDataModule(root / "CamVid", class_names=ROAD, ignore_index=11, seed=seed, **size, **MEMORY)


def photographs(root: Path, seed: int) -> COCODataModule:
    """Photographs of COCO with the outlines of their objects, 160 x 192."""
    options: dict[str, Any] = {"image_size": (160, 192), "batch_size": 4, "eval_batch_size": 8}
    return COCODataModule(root / "coco", "instances", drop_last=True, seed=seed, **options, **MEMORY)


def pretrained(root: Path) -> Path:
    """Find the real weights beside the folder of all data sets."""
    return root.parents[1] / "weights" / "tf_efficientnet_lite0.pth"


def shapes(task: Any, **options: Any) -> Callable[[Path, int], ShapesDataModule]:
    """Drawn shapes, 64 x 64."""
    return lambda root, seed: ShapesDataModule(task, seed=seed, num_workers=0, **{"batch_size": 32, **options})


CONTESTS = {
    "mnist": Contest(
        mnist,
        lambda data: ClassificationTask(10, in_channels=1),
        lambda data: Classifier(plain_cnn(10)),
        accuracy,
        60,
    ),
    "cards, class": Contest(
        cards,
        lambda data: ClassificationTask(data.num_classes, backbone="resnet18"),
        lambda data: Classifier(torchvision.models.resnet18(num_classes=data.num_classes)),
        accuracy,
        90,
    ),
    "cards": Contest(
        cards,
        lambda data: LocalizationTask(data.num_classes, backbone="resnet18"),
        lambda data: Localizer(data.num_classes),
        box_iou,
        90,
    ),
    "shapes, box": Contest(
        shapes("localization"),
        lambda data: LocalizationTask(data.num_classes, backbone="resnet18"),
        lambda data: Localizer(data.num_classes),
        box_iou,
        160,
    ),
    "bccd": Contest(
        blood,
        lambda data: DetectionTask(3, backbone="resnet18", anchor_scales=(4.0,)),
        lambda data: Detector(3, 4.0, 120, 160),
        average_precision,
        150,
    ),
    "shapes, boxes": Contest(
        shapes("detection", batch_size=8, val_size=100),
        lambda data: DetectionTask(data.num_classes, backbone="resnet18", anchor_scales=(4.0,)),
        lambda data: Detector(data.num_classes, 4.0, 64, 64),
        average_precision,
        240,
    ),
    "shapes, outlines": Contest(
        shapes("instances", batch_size=8, val_size=100),
        lambda data: InstanceSegmentationTask(data.num_classes, backbone="resnet18", anchor_scales=(4.0,)),
        lambda data: Outliner(data.num_classes, 4.0, 64, 64),
        mask_precision,
        240,
    ),
    # Both with ImageNet's weights: without, neither learns anything from so few photographs.
    "coco, outlines": Contest(
        photographs,
        lambda data: InstanceSegmentationTask(
            data.num_classes,
            backbone="timm/tf_efficientnet_lite0",
            backbone_weights=pretrained(data.root),
            normalization="unit",
            anchor_scales=(4.0,),
        ),
        lambda data: Outliner(data.num_classes, 4.0, 160, 192, pretrained(data.root)),
        mask_precision,
        400,
    ),
    "camvid": Contest(
        road, lambda data: SegmentationTask(11, backbone="resnet18"), lambda data: Segmenter(11), mean_iou, 120
    ),
    "shapes, masks": Contest(
        shapes("segmentation"),
        lambda data: SegmentationTask(data.num_classes, backbone="resnet18"),
        lambda data: Segmenter(data.num_classes),
        mean_iou,
        40,
    ),
    "mnist, code": Contest(
        mnist,
        lambda data: AutoencodingTask(
            32, in_channels=1, image_size=(28, 28), bank_size=0, backbone_options={"filters": [32, 64, 128], **STRIDED}
        ),
        lambda data: Autoencoder(1, 28, 32),
        likeness,
        60,
    ),
    "cards, code": Contest(
        cards,
        lambda data: AutoencodingTask(
            128, image_size=(160, 160), bank_size=0, backbone_options={"filters": [32, 64, 128, 128], **STRIDED}
        ),
        lambda data: Autoencoder(3, 160, 128, (32, 64, 128, 128)),
        likeness,
        90,
    ),
}
