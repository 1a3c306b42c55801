"""What the commands that only look at data share: the data module, by the flags that ``fit`` has."""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from visiontasks.cli.parser import Parser, chosen_class
from visiontasks.cli.training import DATA_MODULES
from visiontasks.data.base import VisionDataModule
from visiontasks.errors import ArgumentError, VisiontasksError


def parse_data(
    command: str, description: str, arguments: Sequence[str], add_options: Callable[[Parser], None]
) -> tuple[VisionDataModule, Any]:
    """Make the data module that flags describe.

    Args:
        command: Name of the command.
        description: What it does.
        arguments: The command line after it.
        add_options: Adds the flags of the command to a parser.

    Returns:
        The data module, and the options.

    Raises:
        ArgumentError: If a flag or value is wrong.
    """
    parser = Parser(prog=f"visiontasks {command}", description=description, allow_abbrev=False)
    owner = chosen_class("--data", arguments, DATA_MODULES)
    add_options(parser)
    parser.add_subclass_arguments(VisionDataModule, "data", fail_untyped=False, required=False)
    parser.set_defaults({"data": {"class_path": f"{owner.__module__}.{owner.__qualname__}"}})
    parser.chosen, parser.outermost = (("data", owner),), True
    options = parser.parse_args(list(arguments))
    try:
        return parser.instantiate_classes(options).data, options
    except (ValueError, TypeError, MisconfigurationException) as error:
        # jsonargparse wraps what a constructor raises in a message of its own.
        cause = error.__cause__ if isinstance(error.__cause__, VisiontasksError) else error
        raise ArgumentError(str(cause)) from error
