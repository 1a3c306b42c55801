"""The task of a checkpoint that a command names, with what the checkpoint itself cannot hold: classes of the user's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from torch import nn

from visiontasks.backbones import Backbone
from visiontasks.cli.messages import refusal
from visiontasks.cli.model_flags import FLAG
from visiontasks.cli.parser import Parser, flag_value
from visiontasks.decoders import Decoder
from visiontasks.errors import ArgumentError
from visiontasks.prediction import find_task, import_task
from visiontasks.serialization import Source, name_of
from visiontasks.tasks.given_objects import descriptions_in
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD, restore
from visiontasks.tasks.task import Task

TaskT = TypeVar("TaskT", bound=Task)

_BASES = {"backbone": Backbone, "decoder": Decoder}


def load_named(
    source: Source,
    base: type[TaskT],
    task: str | None,
    flags: Sequence[str],
    config: str | Path | None = None,
) -> TaskT:
    """Load the task of a checkpoint.

    Args:
        source: The checkpoint, see :func:`~visiontasks.prediction.load_task`.
        base: The class that a task of the user's extends.
        task: Import path of its class, if that is not one of this library.
        flags: Flags of the model, see :func:`~visiontasks.cli.model_flags.take_model_flags`.
        config: Configuration of its training.

    Returns:
        The task on the CPU, with its weights.

    Raises:
        ArgumentError: If there is no such class, or a flag is not of it.
        CheckpointError: If the file is missing, damaged, unsafe, of an unknown task, or needs another instance.
    """
    checkpoint, name = read_checkpoint(source), name_of(source)
    task_class = import_task(task, base) or find_task(checkpoint, name)
    instances = _instances(descriptions_in(checkpoint.get(RECORD, {})), flags, config)
    return restore(task_class, checkpoint, name, **instances)  # type: ignore[return-value]  # its class is checked


def _instances(
    described: Mapping[str, Mapping[str, Any]], flags: Sequence[str], config: str | Path | None
) -> dict[str, Any]:
    named = {flag.removeprefix(FLAG).partition("=")[0].partition(".")[0] for flag in flags}
    if foreign := sorted(named - described.keys()):
        needs = f"needs {' and '.join(described)}" if described else "holds all that its task needs"
        message = f"{FLAG}{foreign[0]} is given, but the checkpoint {needs}. Leave it out."
        raise ArgumentError(message)
    before = []
    for name, value in _configured(config).items():
        if name in described:
            named.add(name)
            before.append(f"{FLAG}{name}={json.dumps(value)}")
    for name in named:
        given, arguments = flag_value(f"{FLAG}{name}", flags), described[name].get("init_args")
        # A class of the same name in another module: that of a script, which was __main__ then, can now be imported.
        if arguments and given.rpartition(".")[2] == str(described[name].get("class_path")).rpartition(".")[2]:
            before.append(f"{FLAG}{name}={json.dumps({'class_path': given, 'init_args': arguments})}")
    if not named:
        return {}
    parser = Parser(prog="visiontasks", allow_abbrev=False, add_help=False)
    parser.outermost = True
    for name in named:
        parser.add_argument(f"{FLAG}{name}", type=_BASES.get(name, nn.Module), required=True)
    options = parser.parse_args([*before, *flags])
    try:
        made = parser.instantiate_classes(options).model
    except (ValueError, TypeError) as error:
        raise refusal(error) from error
    return {name: made[name] for name in named}


def _configured(config: str | Path | None) -> dict[str, Any]:
    """Read the arguments of the task from a configuration."""
    if config is None:
        return {}
    try:
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"--config {config} cannot be read as YAML: {error}"
        raise ArgumentError(message) from error
    model = content.get("model") if isinstance(content, dict) else None
    arguments = model.get("init_args", model) if isinstance(model, dict) else None
    return arguments if isinstance(arguments, dict) else {}
