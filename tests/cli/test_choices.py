from visiontasks import ClassificationTask, FolderDataModule, SegmentationTask, ShapesDataModule, VisionDataModule
from visiontasks.cli.choices import DATA_MODULES, TASKS
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
