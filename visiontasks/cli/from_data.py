"""Arguments of a task that come from the data in a training."""

from collections.abc import Mapping
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch.cli import LightningArgumentParser

from visiontasks.data.vision_data import VisionData
from visiontasks.errors import ArgumentError

FROM_DATA = ("num_classes", "in_channels", "image_size")
"""Their names; when a checkpoint is scored, they come from it."""


def given_arguments(owner: type, arguments: Namespace) -> dict[str, Any]:
    """Find those of these arguments that the user gave.

    Args:
        owner: The class of the task.
        arguments: All of its arguments, those that are linked to the data included.
    """
    parser = LightningArgumentParser()
    parser.add_class_arguments(owner, fail_untyped=False)
    defaults = parser.get_defaults()
    values = {name: arguments.get(name) for name in FROM_DATA}
    return {name: value for name, value in values.items() if value not in (None, defaults.get(name))}


def check_given(given: Mapping[str, Any], data: VisionData) -> None:
    """Check that what the user gave is what the data have.

    Args:
        given: What :func:`given_arguments` returns.
        data: The data module.

    Raises:
        ArgumentError: If a value differs.
    """
    for name, value in given.items():
        expected = getattr(data, name)
        if value != expected:
            message = (
                f"--model.{name} is {value}, but {type(data).__name__} has {expected}. Leave it out: it comes from the "
                "data."
            )
            raise ArgumentError(message)
