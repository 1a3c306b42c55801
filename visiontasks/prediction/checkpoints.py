"""Loading of the task in a checkpoint."""

from typing import Any, TypeVar

import torch

import visiontasks
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.import_paths import import_class
from visiontasks.serialization import Source, name_of
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD, restore
from visiontasks.tasks.task import Task

TaskT = TypeVar("TaskT", bound=Task)


def load_task(source: Source, task_class: type[Task] | None = None) -> Task:
    """Load the task in a checkpoint.

    Args:
        source: The checkpoint: a file, a remote address, a run folder, which stands for its best one, or a file object.
        task_class: Its class; needed for tasks of your own.

    Returns:
        The task on the CPU, with its weights.

    Raises:
        CheckpointError: If the file is missing, damaged, unsafe, or of an unknown task.
    """
    checkpoint, name = read_checkpoint(source), name_of(source)
    return restore(task_class or find_task(checkpoint, name), checkpoint, name)


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
    task_class = getattr(visiontasks, name) if name in dir(visiontasks) else None
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        message = (
            f"{str(origin)!r} was made by {name or 'another program'}, which is not a task of this library. "
            f"Give its class by its import path, such as my_module.{name or 'MyTask'} (--task; in validate and test "
            "--model)."
        )
        raise CheckpointError(message)
    return task_class


def import_task(path: str | None, base: type[TaskT]) -> type[TaskT] | None:
    """Import the class of a task that is given on the command line.

    Args:
        path: Its import path; None if there is none.
        base: The class that it must be or extend.

    Returns:
        The class; None if no path is given.

    Raises:
        ArgumentError: If there is no such class.
    """
    if path is None:
        return None
    task_class = import_class(path)
    if not issubclass(task_class, base):
        message = f"--task {path} is not a subclass of visiontasks.{base.__name__}."
        raise ArgumentError(message)
    return task_class
