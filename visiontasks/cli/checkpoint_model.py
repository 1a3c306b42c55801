"""The task of a checkpoint, as flags of the command line."""

import json
from collections.abc import Sequence

from visiontasks.cli.parser import flag_value
from visiontasks.import_paths import import_path
from visiontasks.prediction import find_task
from visiontasks.tasks.reading import read_checkpoint

FROM_DATA = ("num_classes", "in_channels", "image_size")
"""Arguments of a task that come from the data."""


def with_checkpoint_model(arguments: Sequence[str], *, going_on: bool) -> list[str]:
    """Insert the task of a checkpoint before the flags, so that flags override it, unless a task or file is given."""
    words = list(arguments)
    named = {word.partition("=")[0] for word in words}
    path = flag_value("--ckpt_path", words)
    if path in ("", "last", "best") or named & {"--model", "--config", "-c"}:
        return words
    checkpoint = read_checkpoint(path, going_on=going_on, keep=True)
    task = find_task(checkpoint, path)
    saved = {name: value for name, value in checkpoint["hyper_parameters"].items() if name not in FROM_DATA}
    model = {"class_path": import_path(task), "init_args": saved}
    return [f"--model={json.dumps(model)}", *words]
