"""The task of a checkpoint that a command names, with what the checkpoint itself cannot hold: classes of the user's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from torch import nn

from visiontasks.backbones import Backbone
from visiontasks.cli.parser import Parser, flag_value
from visiontasks.decoders import Decoder
from visiontasks.errors import ArgumentError, VisiontasksError
from visiontasks.prediction import find_task, import_task
from visiontasks.serialization import Source, name_of
from visiontasks.tasks.instances import descriptions_in
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD, restore
from visiontasks.tasks.task import Task

TaskT = TypeVar("TaskT", bound=Task)

HELP = (
    "A checkpoint that was made with an instance of your own class needs it again, as in 'visiontasks test': "
    "--model.backbone my_module.Strided, if need be with its options, --model.backbone.OPTION VALUE, or all of them by "
    "--config FILE, such as the config.yaml of the run."
)
_FLAG = "--model."
_BASES = {"backbone": Backbone, "decoder": Decoder}


def take_model_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Divide a command line into flags of the model, with their values, and all else.

    Example:
        >>> take_model_flags(["a.ckpt", "--model.backbone", "my.Strided", "--model.backbone.width=8", "b.jpg"])
        (['--model.backbone=my.Strided', '--model.backbone.width=8'], ['a.ckpt', 'b.jpg'])
    """
    flags: list[str] = []
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if not word.startswith(_FLAG):
            others.append(word)
        else:
            flags.append(word if "=" in word else f"{word}={next(words, '')}")
    return flags, others


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
        flags: Flags of the model, see :func:`take_model_flags`.
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
    return restore(task_class, checkpoint, name, **instances)  # type: ignore[return-value]  # callers check its class


def _instances(
    described: Mapping[str, Mapping[str, Any]], flags: Sequence[str], config: str | Path | None
) -> dict[str, Any]:
    named = {flag.removeprefix(_FLAG).partition("=")[0].partition(".")[0] for flag in flags}
    if foreign := sorted(named - described.keys()):
        needs = f"needs {' and '.join(described)}" if described else "holds all that its task needs"
        message = f"{_FLAG}{foreign[0]} is given, but the checkpoint {needs}. Leave it out."
        raise ArgumentError(message)
    before = []
    for name, value in _configured(config).items():
        if name in described:
            named.add(name)
            before.append(f"{_FLAG}{name}={json.dumps(value)}")
    for name in named:
        given, arguments = flag_value(f"{_FLAG}{name}", flags), described[name].get("init_args")
        # A class of the same name in another module: that of a script, which was __main__ then, can now be imported.
        if arguments and given.rpartition(".")[2] == str(described[name].get("class_path")).rpartition(".")[2]:
            before.append(f"{_FLAG}{name}={json.dumps({'class_path': given, 'init_args': arguments})}")
    if not named:
        return {}
    parser = Parser(prog="visiontasks", allow_abbrev=False, add_help=False)
    parser.outermost = True
    for name in named:
        parser.add_argument(f"{_FLAG}{name}", type=_BASES.get(name, nn.Module), required=True)
    options = parser.parse_args([*before, *flags])
    try:
        made = parser.instantiate_classes(options).model
    except (ValueError, TypeError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, VisiontasksError) else error
        raise ArgumentError(str(cause)) from error
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
