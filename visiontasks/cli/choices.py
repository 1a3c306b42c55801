"""The classes that can be given on the command line by name, without a module path: the public ones."""

import inspect
from typing import Any

import visiontasks
from visiontasks.data.lightning_modules import VisionDataModule
from visiontasks.tasks.task import Task


def _public(ending: str, base: type, default: str) -> tuple[Any, ...]:
    """Return the public classes whose names end so, the default first."""
    classes = [getattr(visiontasks, name) for name in dir(visiontasks) if name.endswith(ending)]
    return tuple(sorted((kind for kind in classes if kind is not base), key=lambda kind: kind.__name__ != default))


TASKS: tuple[type[Task], ...] = _public("Task", Task, "ClassificationTask")
DATA_MODULES: tuple[type[VisionDataModule], ...] = _public("DataModule", VisionDataModule, "ShapesDataModule")
"""Without ``--model`` and ``--data``, the first of them are taken."""


def arguments_for(data: type, task: type | None) -> dict[str, Any]:
    """Choose arguments of a data module by the task that is trained on it: what is read is what the task takes.

    Args:
        data: The class of the data module.
        task: The class of the task; None if it is not named.

    Example:
        >>> arguments_for(visiontasks.COCODataModule, visiontasks.InstanceSegmentationTask)
        {'task': 'instances'}
    """
    takes, parameters = getattr(task, "takes", None), inspect.signature(data).parameters
    # A class of one's own may leave no choice.
    chooses = "task" in parameters or any(each.kind == each.VAR_KEYWORD for each in parameters.values())
    return {"task": takes} if takes in getattr(data, "tasks", ()) and chooses else {}
