"""What is said when data and task do not belong together, as a user meets them."""

from typing import Any

import pytest

import visiontasks
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    MNISTDataModule,
    SegmentationTask,
    ShapesDataModule,
    Task,
    VisionDataModule,
)
from visiontasks.errors import ArgumentError
from visiontasks.tasks.agreement import _DATA, _TASKS


@pytest.mark.parametrize(
    ("task", "data", "message"),
    [
        (
            DetectionTask(4),
            ShapesDataModule(),
            "ShapesDataModule yields batches of classification, DetectionTask takes detection. Create the data with "
            "task='detection', or train ClassificationTask on these data.",
        ),
        (
            SegmentationTask(10, in_channels=1),
            MNISTDataModule(),
            "MNISTDataModule yields batches of classification, SegmentationTask takes segmentation. Train "
            "ClassificationTask on these data, or use data of MaskFolderDataModule, COCODataModule, VOCDataModule, "
            "YOLODataModule or ShapesDataModule.",
        ),
        (
            ClassificationTask(4, mode="multilabel"),
            ShapesDataModule("segmentation"),
            "ShapesDataModule yields batches of segmentation, ClassificationTask takes multilabel classification. "
            "Create the data with task='classification', or train SegmentationTask on these data.",
        ),
        (
            ClassificationTask(4, mode="multilabel"),
            ShapesDataModule(),
            "ShapesDataModule yields batches of classification, ClassificationTask takes multilabel classification. "
            "Use --model.mode multiclass.",
        ),
    ],
)
def test_tasks_and_data_that_fit_are_named(task: Task, data: VisionDataModule, message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        task.check_data(data)
    assert str(error.value) == message


def test_the_tables_name_what_there_is() -> None:
    names = [name for name in dir(visiontasks) if name.endswith("DataModule") and name != "VisionDataModule"]
    modules: dict[str, Any] = {name.removesuffix("DataModule"): getattr(visiontasks, name) for name in names}
    for kind, listed in _DATA.items():
        assert sorted(listed) == sorted(name for name, module in modules.items() if kind in module.tasks)
    for kind, name in _TASKS.items():
        task = getattr(visiontasks, name.partition(" ")[0])
        assert task is AutoencodingTask or task.takes in (kind, "classification")
