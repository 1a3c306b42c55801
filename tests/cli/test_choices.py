import pytest

from visiontasks import (
    ClassificationTask,
    COCODataModule,
    FolderDataModule,
    SegmentationTask,
    ShapesDataModule,
    VisionDataModule,
)
from visiontasks.cli.choices import DATA_MODULES, TASKS
from visiontasks.cli.training import TrainingCLI
from visiontasks.tasks.task import Task


def test_public_tasks_and_data_modules_can_be_named() -> None:
    assert all(issubclass(owner, Task) for owner in TASKS)
    assert Task not in TASKS
    assert all(issubclass(owner, VisionDataModule) for owner in DATA_MODULES)
    assert VisionDataModule not in DATA_MODULES
    assert (len(TASKS), len(DATA_MODULES)) == (6, 8)
    assert SegmentationTask in TASKS
    assert FolderDataModule in DATA_MODULES
    assert (TASKS[0], DATA_MODULES[0]) == (ClassificationTask, ShapesDataModule)  # the defaults


class Fixed(COCODataModule):
    """Leaves no choice of the task."""

    def __init__(self, root: str = "data") -> None:
        super().__init__(root, "segmentation")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--model", "InstanceSegmentationTask", "--data", "COCODataModule"], "instances"),
        (["--model=visiontasks.DetectionTask"], "detection"),
        (["--model", "SegmentationTask", "--data", "COCODataModule", "--data.task", "instances"], "instances"),
        (["--data", "COCODataModule"], "detection"),  # its own default
        (["--model", "DetectionTask", "--data", "tests.cli.test_choices.Fixed"], None),
        (["--model", "ClassificationTask", "--data", "MaskFolderDataModule"], "segmentation"),  # which it refuses later
    ],
)
def test_data_are_read_for_the_task_that_is_named(
    flags: list[str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("before_instantiate_classes", "instantiate_classes"):
        monkeypatch.setattr(TrainingCLI, step, lambda cli: None)
    config = TrainingCLI("fit", flags).config
    assert config.data.init_args.get("task") == expected
