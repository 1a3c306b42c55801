"""Tiny tasks and data of which reports are made, and what a report says of them."""

from typing import Any

import torch
from torch.utils.data import DataLoader

from tests.report.reading import Page
from visiontasks import (
    ClassificationBatch,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
    Task,
)

TINY: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8, 8], "depth": 1}}
CLASSES = ["circle", "square", "triangle", "star"]


def make_task(name: str) -> Task:
    """Make a tiny network that was not trained."""
    if name == "detection":
        more: dict[str, Any] = {
            "fpn_width": 8,
            "head_width": 8,
            "rpn_pre_nms_top_n": (50, 50),
            "rpn_post_nms_top_n": (20, 20),
            "box_score_thresh": 0.0,
        }
        return DetectionTask(4, **TINY, **more)
    if name == "segmentation":
        return SegmentationTask(5, **TINY)
    return LocalizationTask(4, **TINY) if name == "localization" else ClassificationTask(4, **TINY)


def shapes(name: str) -> ShapesDataModule:
    size = (48, 64) if name == "detection" else (24, 32)
    task: Any = name
    return ShapesDataModule(task, train_size=8, val_size=8, test_size=12, image_size=size, batch_size=5)


def decisions(classes: int, count: int = 20) -> list[ClassificationBatch]:
    """Make batches of several classes, or of a binary one where there are none."""
    shape = (count, classes) if classes else (count,)
    labels = torch.randint(2, shape, dtype=torch.uint8 if classes else torch.int64)
    images = torch.randint(256, (count, 3, 16, 16), dtype=torch.uint8)
    whole = ClassificationBatch(images, labels, torch.arange(count))
    return [ClassificationBatch(*(field[start : start + 8] for field in whole)) for start in range(0, count, 8)]


def loader(batches: list[ClassificationBatch]) -> DataLoader[Any]:
    dataset: Any = batches
    return DataLoader(dataset, batch_size=None)


def matrix(page: Page, names: list[str]) -> list[list[int]]:
    """Read the confusion matrix of the classes."""
    (rows,) = [rows for rows in page.tables if rows[0][1:] == names and len(rows) == len(names) + 1]
    return [[int(cell.replace("·", "0").replace(",", "")) for cell in row[1:]] for row in rows[1:]]
