"""Objects that a task was given, such as a backbone of one's own, and how a checkpoint makes them again."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from visiontasks.backbones import Backbone
from visiontasks.decoders import Decoder
from visiontasks.errors import CheckpointError
from visiontasks.import_paths import import_path

Description = Mapping[str, Any]
"""``class_path``, and the arguments as ``init_args``, or None if they are unknown: as on the command line."""


def describe(instance: object) -> Description:
    """Describe how an instance was made, in plain values."""
    made = type(instance)
    arguments = instance.made_with if isinstance(instance, Backbone | Decoder) else None
    return {"class_path": import_path(made), "init_args": arguments}


def descriptions_in(record: Mapping[str, Any]) -> dict[str, Description]:
    """Return how the instances in a checkpoint were made, by the argument of the task; older ones say nothing of it.

    Args:
        record: What :func:`~visiontasks.tasks.record.write_record` adds to a checkpoint.
    """
    described = record.get("unsaved", {})
    return dict(described) if isinstance(described, Mapping) else {name: {} for name in described}


def make_again(
    descriptions: Mapping[str, Description], given: Collection[str], task: str, origin: str
) -> dict[str, Any]:
    """Make the instances that a task needs and that are not given.

    A class is looked up among the subclasses of :class:`~visiontasks.backbones.Backbone` and
    :class:`~visiontasks.decoders.Decoder` that have been imported: a checkpoint imports nothing, which would run code.

    Args:
        descriptions: How the instances were made, by the argument of the task.
        given: Names of those that are given.
        task: Name of the task's class, for the message.
        origin: The file, for the message.

    Returns:
        The instances by name.

    Raises:
        CheckpointError: If one cannot be made.
    """
    needed = {name: description for name, description in descriptions.items() if name not in given}
    classes = {import_path(known): known for known in _subclasses(Backbone, Decoder)}
    made: dict[str, Any] = {}
    for name, description in needed.items():
        path, arguments = description.get("class_path"), description.get("init_args")
        if arguments is None or path not in classes:
            raise CheckpointError(_missing(name, path, arguments is not None, task, origin))
        made[name] = classes[path](**arguments)
    return made


def require(descriptions: Mapping[str, Description], given: Collection[str], task: str, origin: str) -> None:
    """Check that every instance that a task needs is given.

    Args:
        descriptions: How the instances were made, by the argument of the task.
        given: Names of those that are given.
        task: Name of the task's class, for the message.
        origin: The file, for the message.

    Raises:
        CheckpointError: If one is missing.
    """
    for name, description in descriptions.items():
        if name not in given:
            remade = description.get("init_args") is not None
            raise CheckpointError(_missing(name, description.get("class_path"), remade, task, origin))


def _subclasses(*classes: type) -> Iterator[type]:
    """Yield the subclasses of classes, in depth, those that were defined last at the end."""
    for known in classes:
        yield known
        yield from _subclasses(*known.__subclasses__())


def _missing(name: str, path: str | None, remade: bool, task: str, origin: str) -> str:
    path = path or "my_module.MyClass"
    before = f"Import {path} before, or pass it again" if remade else "Pass it again"
    return (
        f"{origin!r} was made with an instance of {path} as {name!r}, which a checkpoint cannot hold. {before}: "
        f"{task}.load_from_checkpoint(path, {name}=...). On the command line give --model.{name} {path}, or --config "
        "FILE, the configuration of its training."
    )
