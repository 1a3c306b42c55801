"""Files of weights: state dicts and checkpoints of any program, safetensors, and folders of Hugging Face."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
from torch import Tensor

from visiontasks.backbones.array_pickles import is_array_pickle, read_array_pickle
from visiontasks.backbones.backbone import PretrainedNormalization
from visiontasks.backbones.foreign_values import find_tensors, values_left_out
from visiontasks.backbones.pretrained_config import expected_pixels
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.runs import resolve_checkpoint
from visiontasks.serialization import BinaryFile, Source, load_file, name_of, open_source

_CONFIG = "config.json"
_IN_FOLDER = ("model.safetensors", "pytorch_model.bin")


class WeightsSource(NamedTuple):
    """Weights that were read, and what is known of them.

    Attributes:
        origin: The file or the name of the published weights, for messages.
        weights: Tensors by name; those of nested dictionaries have the names of these in front, joined with points.
        contents: What else the file holds; empty if nothing.
        normalization: How pixels were normalised for them; None where they do not say.
        architecture: Name of their architecture; None where they do not say.
        requires: Arguments of a task and its backbone that they are made for, by name.
    """

    origin: str
    weights: dict[str, Tensor]
    contents: Mapping[str, Any] = {}
    normalization: PretrainedNormalization | None = None
    architecture: str | None = None
    requires: Mapping[str, Any] = {}


def read_weights_file(weights: str | Path, argument: str, expected: str) -> WeightsSource:
    """Read the weights of a file, without running any code that it may contain.

    Args:
        weights: Path or address of a file that torch or safetensors wrote, or a pickle of arrays; a folder of Hugging
            Face, with its ``config.json``; or a run folder, which stands for its best checkpoint.
        argument: Name of the argument in the message about a missing file.
        expected: What the argument may be, for that message.

    Returns:
        The weights.

    Raises:
        ArgumentError: If there is no such file, or no weights in a folder.
        CheckpointError: If the file is damaged, unsafe, or contains no weights.
    """
    file = _find(weights, argument, expected)
    with open_source(file) as opened:
        loaded = _read_safetensors(opened) if _is_safetensors(opened) else _read_saved(opened)
    tensors = find_tensors(loaded)
    contents = loaded if isinstance(loaded, Mapping) else {}
    if not tensors:
        held = f"found {sorted(map(str, contents)) if contents else type(loaded).__name__}"
        message = f"{name_of(file)!r} holds no weights: expected tensors by name, as of a state dict, {held}."
        raise CheckpointError(message)
    config = _read_config(file)
    architecture = config.get("architecture", contents.get("arch"))
    return WeightsSource(
        repr(name_of(file)),
        tensors,
        contents,
        expected_pixels(config.get("pretrained_cfg", config)),
        architecture if isinstance(architecture, str) else None,
    )


def _find(weights: str | Path, argument: str, expected: str) -> Source:
    folder = Path(weights)
    there = [folder / name for name in _IN_FOLDER if (folder / name).is_file()]
    if there:
        return there[0]
    try:
        return resolve_checkpoint(weights)
    except CheckpointError as error:
        missing = "there is no such file"
        if folder.exists():
            missing = f"that folder holds no checkpoint, nor {' or '.join(_IN_FOLDER)}"
        message = f"{argument} is {str(weights)!r}, and {missing}. Expected {expected}."
        raise ArgumentError(message) from error


def _is_safetensors(file: BinaryFile) -> bool:
    # The length of the header in eight bytes, and the header, which is JSON.
    start = file.read(9)
    return start[8:] == b"{" and not start.startswith(b"PK")


def _read_safetensors(file: BinaryFile) -> dict[str, Tensor]:
    file.seek(0)
    try:
        return safetensors.torch.load(file.read())
    except Exception as error:
        message = f"{name_of(file)!r} is damaged or no file of safetensors ({error})."
        raise CheckpointError(message) from error


def _read_saved(file: BinaryFile) -> Any:  # noqa: ANN401 (whatever was saved)
    if is_array_pickle(file):
        return read_array_pickle(file)
    with values_left_out(file):
        return load_file(file)


def _read_config(file: Source) -> dict[str, Any]:
    """Read the configuration beside a file as Hugging Face writes it; empty where there is none that can be read."""
    try:
        config = json.loads(Path(name_of(file)).with_name(_CONFIG).read_bytes())
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
