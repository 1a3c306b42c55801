"""The classes that can be given on the command line by name, without a module path: the public ones."""

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
