"""Weights, compared with a model before anything is copied."""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from visiontasks.errors import CheckpointError, listed

COMPILED = "_orig_mod."
"""Prefix that ``torch.compile`` adds to the weight names of a module that it wraps."""

_WIDENED = "decoder.classifier.weight"


def widened(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pad the 1x1 classifier of an earlier U-Net with zeros to today's 3x3, which computes the same.

    Args:
        weights: The weights.
        expected: The model's state dict.
    """
    own, theirs = (of.get(_WIDENED) for of in (expected, weights))
    if own is None or theirs is None or own.shape[2:] != (3, 3) or theirs.shape[2:] != (1, 1):
        return dict(weights)
    return {**weights, _WIDENED: F.pad(theirs, (1, 1, 1, 1))}


def mismatches(expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor], file: str, model: str) -> list[str]:
    """List the keys that prevent weights from being loaded into a model.

    Args:
        expected: The model's state dict.
        loaded: The weights.
        file: Name of the origin of the weights in the messages, such as ``"checkpoint"``.
        model: Name of the model in the messages.

    Returns:
        One line, sorted, for each key that is missing, not part of the model, or of another shape.

    Example:
        >>> import torch
        >>> mismatches({"a": torch.ones(2)}, {"a": torch.ones(3), "b": torch.ones(1)}, "file", "model")
        ['a: [3] in the file, [2] in the model', 'b: not in the model']
    """
    shapes = [
        f"{key}: {list(loaded[key].shape)} in the {file}, {list(expected[key].shape)} in the {model}"
        for key in expected.keys() & loaded.keys()
        if expected[key].shape != loaded[key].shape
    ]
    missing = [f"{key}: not in the {file}" for key in expected.keys() - loaded.keys()]
    return sorted(shapes + missing + [f"{key}: not in the {model}" for key in loaded.keys() - expected.keys()])


def check_fit(
    expected: Mapping[str, Tensor], loaded: Mapping[str, Tensor], problem: str, remedy: str, *, file: str, model: str
) -> None:
    """Check that weights fit a model before any is copied.

    Args:
        expected: The model's state dict.
        loaded: The weights.
        problem: First part of the message, such as ``"The checkpoint was made for another model"``.
        remedy: Last part of the message.
        file: See :func:`mismatches`.
        model: See :func:`mismatches`.

    Raises:
        CheckpointError: If keys are missing or unexpected or shapes differ; the first ten are listed.
    """
    problems = mismatches(expected, loaded, file, model)
    if problems:
        lines = listed(problems, separator="\n  ")
        message = f"{problem}; nothing was loaded:\n  {lines}\n{remedy}"
        raise CheckpointError(message)
