"""Loading of the task in a checkpoint."""

from importlib import import_module
from typing import Any, TypeVar

import torch

import visiontasks
from visiontasks.errors import ArgumentError, CheckpointError, near_matches
from visiontasks.serialization import Source, name_of
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD, restore
from visiontasks.tasks.task import Task

TaskT = TypeVar("TaskT", bound=Task)


def load_task(source: Source, kind: type[Task] | None = None) -> Task:
    """Load the task in a checkpoint.

    Args:
        source: The checkpoint: a file, a remote address, a run folder, which stands for its best one, or a file object.
        kind: Its class; needed for tasks of your own.

    Returns:
        The task on the CPU, with its weights.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe, or of an unknown task.
    """
    checkpoint, name = read_checkpoint(source), name_of(source)
    return restore(kind or find_task(checkpoint, name), checkpoint, name)


def on_device(task: TaskT, device: str | torch.device | None = None) -> TaskT:
    """Move a task.

    Args:
        task: The task.
        device: Where to; by default a GPU if there is one.

    Raises:
        ArgumentError: If there is no such device.
    """
    try:
        return task.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu")))
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        reason = str(error).partition("\n")[0]
        message = f"device is {str(device)!r}: {reason}"
        raise ArgumentError(message) from error


def find_task(checkpoint: dict[str, Any], origin: object) -> type[Task]:
    """Find the class of the task in a checkpoint; only classes of this library are looked up.

    Args:
        checkpoint: What :func:`~visiontasks.tasks.reading.read_checkpoint` returns.
        origin: Its file, for messages.

    Returns:
        The class.

    Raises:
        CheckpointError: If it is a custom class.
    """
    name = checkpoint.get(RECORD, {}).get("task")
    found = getattr(visiontasks, name) if name in dir(visiontasks) else None
    if not (isinstance(found, type) and issubclass(found, Task)):
        message = (
            f"{str(origin)!r} was made by {name or 'another program'}, which is no task of this library. "
            "Say which class it is by its import path, such as my_module.MyTask."
        )
        raise CheckpointError(message)
    return found


def import_path(kind: type) -> str:
    """Return the path by which :func:`import_class` imports a class."""
    return f"{kind.__module__}.{kind.__qualname__}"


def import_class(path: str) -> type:
    """Import a class by its path.

    Args:
        path: Such as ``"my_module.MyTask"``.

    Returns:
        The class.

    Raises:
        ArgumentError: If there is none.
    """
    module, _, name = path.rpartition(".")
    try:
        imported = import_module(module)
    except (ImportError, ValueError) as error:
        message = (
            f"{path!r} cannot be imported: {error}. A class is given by its import path, such as 'my_module.MyTask'."
        )
        raise ArgumentError(message) from error
    found = getattr(imported, name, None)
    if not isinstance(found, type):
        message = f"Module {module!r} has no class {name!r}. {near_matches(name, vars(imported))}"
        raise ArgumentError(message)
    return found
