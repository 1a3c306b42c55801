"""The classes that can be given on the command line by name, without a module path: the public ones."""

import visiontasks
from visiontasks.data.data_module import VisionDataModule
from visiontasks.tasks.task import Task

TASKS: tuple[type[Task], ...] = tuple(
    getattr(visiontasks, name) for name in dir(visiontasks) if name.endswith("Task") and name != "Task"
)
DATA_MODULES: tuple[type[VisionDataModule], ...] = tuple(
    getattr(visiontasks, name)
    for name in dir(visiontasks)
    if name.endswith("DataModule") and name != "VisionDataModule"
)
