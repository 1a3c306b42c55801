"""What ``--help`` prints for data, a task and a Trainer: first what everyone uses, then all flags by group."""

import re
import shutil
import textwrap
from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Literal, NamedTuple, NoReturn, Union, get_args, get_origin

from jsonargparse import Namespace

_COLUMN = 30
"""Where texts begin."""
_NARROWEST, _WIDEST = 60, 110

_OF_VALUES = (
    "A class that is the value of a flag has options of its own: --model.optimizer.help SGD, --trainer.callbacks.help "
    "EarlyStopping."
)

_IN_SHORT = {
    "data": ("CLASS", "form of the data"),
    "data.root": ("FOLDER", "folder of the data; generated shapes need none"),
    "data.task": ("NAME", "what the data are read for, where their form leaves it open"),
    "data.image_size": ("N", "side of the images in pixels, or [height,width]"),
    "data.batch_size": ("N", "images per step and device"),
    "model": ("TASK", "what is learnt"),
    "model.backbone": ("NAME", "network; 'visiontasks backbones' lists them"),
    "model.backbone_weights": ("", "imagenet or a file, to start from"),
    "model.optimizer.lr": ("RATE", "learning rate; 'visiontasks tune' finds one"),
    "trainer.max_epochs": ("N", "passes over the training images"),
    "trainer.devices": ("N", "number of GPUs, or of processes on a CPU"),
    "run": ("NAME", "results go to runs/NAME/version_N"),
    "ckpt_path": ("PATH", ""),
    "split": ("NAME", ""),
    "config": ("FILE", "YAML of flags, such as a run's config.yaml"),
}
"""What stands for the value of a flag, and what the flag does; if empty, the first sentence of its description."""

TRAINS = (
    *("data", "data.root", "data.image_size", "data.batch_size", "model", "model.backbone", "model.backbone_weights"),
    *("model.optimizer.lr", "trainer.max_epochs", "trainer.devices", "run", "ckpt_path", "config"),
)
"""What most trainings need."""
SCORES = ("ckpt_path", "data", "data.root", "split", "trainer.devices", "run", "config")
"""What most tests need."""
READS = ("data", "data.root", "data.task", "data.image_size", "config")
"""What commands need that only read data."""

_OF_SCHEDULE = (
    *("optimizer", "lr_scheduler", "lr_interval", "warmup", "backbone_lr_factor", "layer_decay", "skip_nonfinite"),
)
"""Arguments of a task that are shown apart from those of its network."""
_FROM_DATA = ("model.num_classes", "model.in_channels")
"""Arguments of a task that are refused as flags."""


_Row = tuple[str, str]
"""A flag as it is written, and its description."""


class Chosen(NamedTuple):
    """What is chosen by a flag.

    Attributes:
        key: The flag, ``"data"`` or ``"model"``.
        kind: The class.
        known: Classes that can be given by name.
        parser: A parser of the arguments of the class.
    """

    key: str
    kind: type
    known: Sequence[type]
    parser: ArgumentParser


def describe(parser: ArgumentParser, chosen: Sequence[Chosen], first: Sequence[str]) -> str:
    """Write the help of a command.

    Args:
        parser: Its parser.
        chosen: What can be chosen, so that its arguments are no flags of the parser.
        first: Names of the flags that everyone uses.
    """
    classes = {one.key: one for one in chosen}
    actions = [action for each in (parser, *(one.parser for one in chosen)) for action in _shown(each)]
    title = {key: f" of {one.kind.__name__} (of others: --{key} NAME --help)" for key, one in classes.items()}
    of_model = _below("model", actions)
    schedule = [action for action in of_model if action.dest.split(".")[1] in _OF_SCHEDULE]
    parts = [
        f"usage: {parser.prog} [--FLAG VALUE ...]",
        textwrap.fill(parser.description or "", _width()),
        _section("what everyone uses", _in_short(first, actions, classes)),
        _section("data" + title.get("data", ""), _long(_below("data", actions))),
        _section("model" + title.get("model", ""), _long([action for action in of_model if action not in schedule])),
        _section("optimiser and schedule", _long(schedule)),
        _section("run and logging", _long([action for action in actions if "." not in action.dest])),
        _section("Trainer of Lightning, with its defaults (--trainer.help describes them)", _defaults(actions)),
        textwrap.fill(_OF_VALUES if of_model else "", _width()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


class TrainerHelp(Action):
    """Describes the flags of the Trainer, and ends the program."""

    def __init__(self, option_strings: Sequence[str], **kwargs: Any) -> None:  # noqa: ANN401 (of argparse)
        super().__init__(option_strings, dest=SUPPRESS, default=SUPPRESS, nargs=0, help=SUPPRESS)

    def __call__(self, parser: ArgumentParser, *_: Any) -> NoReturn:  # noqa: ANN401 (of argparse)
        """Print the help."""
        print(_section("Trainer of Lightning", _long(_below("trainer", _shown(parser)))))
        parser.exit()


def _shown(parser: ArgumentParser) -> list[Action]:
    """List the flags of a parser, without those that ask for help, or read a whole group from a file."""
    return [
        action
        for action in parser._actions
        if action.option_strings
        and action.dest != "help"
        and not action.option_strings[0].endswith(".help")
        and action.help != SUPPRESS
        and action.dest not in ("data", "model", "trainer", *_FROM_DATA)
    ]


def _below(key: str, actions: Iterable[Action]) -> list[Action]:
    return [action for action in actions if action.dest.startswith(f"{key}.")]


def _in_short(first: Sequence[str], actions: Sequence[Action], classes: Mapping[str, Chosen]) -> Iterator[_Row]:
    by_name = {action.dest: action for action in actions}
    for name in first:
        value, text = _IN_SHORT.get(name, ("", ""))
        if name in classes:
            others = ", ".join(kind.__name__ for kind in classes[name].known if kind is not classes[name].kind)
            text = f"{text}: {classes[name].kind.__name__} is chosen; others: {others}"
        elif name in by_name:
            text = text or _plain(by_name[name].help or "").partition(". ")[0].removesuffix(".")
        elif not (name == "data.root" and "data" in classes) and name.rpartition(".")[0] not in by_name:
            continue
        yield f"--{name} {value}".rstrip(), text


def _long(actions: Iterable[Action]) -> Iterator[_Row]:
    for action in actions:
        kind, text = kind_of(action), _plain(action.help or "")
        names = ", ".join(name for name in action.option_strings if not name.endswith("+"))
        known = f"; known: {classes}" if (classes := _classes(action)) else ""
        yield names, f"{text} ({kind}, default: {default_of(action)}{known})" if kind else text


def _defaults(actions: Iterable[Action]) -> Iterator[_Row]:
    return ((f"{action.option_strings[0]} {default_of(action)}", "") for action in _below("trainer", actions))


def kind_of(action: Action) -> str:
    """Name the type of a flag, as short as it can be understood."""
    kind = getattr(action, "_typehint", None) or action.type
    return "" if kind is None else _kind(kind)


def _kind(kind: Any) -> str:  # noqa: ANN401 (a type, or a form of one)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join(str(value) for value in arguments)
    if origin in (Union, UnionType):
        return " | ".join(dict.fromkeys(_kind(one) for one in arguments))
    if origin is tuple:
        return f"[{', '.join(_kind(one) for one in arguments)}]"
    name = getattr(origin or kind, "__name__", str(kind))
    if name == "Callable":
        return _kind(arguments[-1])
    if name in ("list", "Sequence"):
        return "list of " + ", ".join(_kind(one) for one in arguments)
    return {"NoneType": "null", "Path": "file", "str": "text"}.get(name, name)


def default_of(action: Action) -> str:
    """Write the default of a flag, a class without its module."""
    value = action.default.as_dict() if isinstance(action.default, Namespace) else action.default
    if isinstance(value, dict) and "class_path" in value:
        given = {name: option for name, option in value.get("init_args", {}).items() if option not in (None, "")}
        options = ", ".join(f"{name} {option}" for name, option in given.items())
        return _name(value["class_path"]) + (f" with {options}" if options else "")
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _classes(action: Action) -> str:
    """Name the classes that a flag takes; none where it takes a short name instead."""
    listed = getattr(action, "extra_help", str)()
    if not listed or "text" in kind_of(action).split(" | "):
        return ""
    paths = listed.rpartition(": ")[2].split(", ")
    # Parts of a task, and of the command itself, are none that a user would choose.
    names = [_name(path) for path in paths if not path.startswith(("visiontasks.tasks", "visiontasks.cli"))]
    return ", ".join(dict.fromkeys(name for name in names if name not in kind_of(action).split(" | ")))


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _plain(text: str) -> str:
    """Take the marks of reStructuredText out of a docstring."""
    text = re.sub(r":\w+:`(?:[^`<]*<)?~?([\w.]+)>?`", lambda match: _name(match[1]), text)
    return " ".join(text.replace("``", "").split())


def _section(title: str, rows: Iterable[_Row]) -> str:
    lines = [f"{title}:"]
    for flag, text in rows:
        start = f"  {flag}"
        if text and len(start) > _COLUMN - 2:
            lines.append(start)
            start = ""
        indent = " " * _COLUMN
        lines.append(
            textwrap.fill(text, _width(), initial_indent=start.ljust(_COLUMN), subsequent_indent=indent) or start
        )
    return "\n".join(lines) if len(lines) > 1 else ""


def _width() -> int:
    return min(max(shutil.get_terminal_size().columns, _NARROWEST), _WIDEST) - 2
