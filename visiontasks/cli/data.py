"""Common part of the commands that only read data: the data module, configured by the same flags as in ``fit``."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from visiontasks.cli.messages import refusal
from visiontasks.cli.parser import Parser, chosen_class, flag_value
from visiontasks.data import datamodules
from visiontasks.data.vision_data import VisionData
from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_path


def parse_data(
    command: str,
    description: str,
    arguments: Sequence[str],
    add_options: Callable[[Parser], None],
    *,
    annotations_only: bool = False,
) -> tuple[VisionData, Any]:
    """Create the data module from flags, from the configuration of a run, or from both; flags take precedence.

    Args:
        command: Name of the command.
        description: What it does.
        arguments: The command line after it.
        add_options: Adds the flags of the command to a parser.
        annotations_only: Whether the command does without Lightning where it can, and starts in a third of the time.

    Returns:
        The data module, or its data without Lightning; and the options.

    Raises:
        ArgumentError: If a flag or value is wrong.
    """
    parser = Parser(prog=f"visiontasks {command}", description=description, allow_abbrev=False)
    add_options(parser)
    words = _with_configured_data(arguments)
    if annotations_only and (of_files := _without_lightning(words)):
        try:
            return _parse(parser, of_files, chosen_class("--data", of_files, (datamodules.FolderData,)))
        except ArgumentError:
            return parse_data(command, description, arguments, add_options)  # which tells it of the data module
    from visiontasks.cli.choices import DATA_MODULES

    return _parse(parser, words, chosen_class("--data", words, DATA_MODULES))


def _parse(parser: Parser, arguments: Sequence[str], owner: type) -> tuple[VisionData, Any]:
    parser.add_argument("--config", help="YAML with a section data, such as a run's config.yaml; flags win over it")
    parser.add_subclass_arguments(VisionData, "data", fail_untyped=False, required=False)
    parser.set_defaults({"data": {"class_path": import_path(owner)}})
    parser.chosen, parser.outermost = (("data", owner),), True
    options = parser.parse_args(arguments)
    try:
        return parser.instantiate_classes(options).data, options
    except (ValueError, TypeError) as error:
        raise refusal(error) from error


def _with_configured_data(arguments: Sequence[str]) -> list[str]:
    """Insert the data of a configuration before the flags, so that flags override it.

    Raises:
        ArgumentError: If the configuration cannot be read, or has no data section.
    """
    words = list(arguments)
    file = flag_value("--config", words)
    if not file:
        return words
    try:
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"--config {file} cannot be read as YAML: {error}"
        raise ArgumentError(message) from error
    data = content.get("data") if isinstance(content, dict) else None
    if isinstance(data, str):
        data = {"class_path": data}
    if not isinstance(data, dict):
        message = f"--config {file} has no section 'data'; expected one, as in the config.yaml of a run."
        raise ArgumentError(message)
    if "class_path" not in data:  # saved by a recipe, which has one data module only
        name = flag_value("--data", words)
        if not name:
            message = f"--config {file} does not say which data module its data are for: add --data CLASS."
            raise ArgumentError(message)
        data = {"class_path": name, "init_args": data}
    # As in fit, if the data module has no seed of its own.
    seed, given = content.get("seed_everything"), data.setdefault("init_args", {})
    if given.get("seed") is None and type(seed) is int:
        given["seed"] = seed
    return [f"--data={json.dumps(data)}", *words]


def _without_lightning(arguments: Sequence[str]) -> list[str]:
    """Name the data in the place of their data module; empty if it is of other data, or help is asked for."""
    words, named = list(arguments), False
    for position, word in enumerate(words):
        flag, _, value = word.partition("=")
        if word in ("-h", "--help") or flag.endswith(".help"):
            return []
        if position and words[position - 1] == "--data":
            flag, value = "", word
        elif flag != "--data" or not value:
            continue
        given = json.loads(value) if value.startswith("{") else {"class_path": value}
        name = str(given.get("class_path")).removeprefix("visiontasks.")
        data = name.removesuffix("Module")
        if name == data or data not in dir(datamodules):
            return []
        given["class_path"] = f"{datamodules.__name__}.{data}"
        words[position], named = f"{flag}={json.dumps(given)}" if flag else given["class_path"], True
    return words if named else []
