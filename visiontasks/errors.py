"""Exceptions that say what was found, what was expected, and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class VisiontasksError(Exception):
    """Base class of every error that this library raises on purpose."""


class ArgumentError(VisiontasksError, ValueError):
    """An argument, a flag or a combination of them cannot work."""


class DataError(VisiontasksError):
    """A file, a record or a value of a data set is wrong."""


class UnreadableFileError(DataError):
    """A file of pixels is missing, damaged, too large, or of another kind than expected."""


class DownloadError(DataError):
    """A file could not be downloaded, or is not the file that was expected."""


class CheckpointError(VisiontasksError):
    """A checkpoint is missing, damaged, unsafe, made for another model, or not finite."""


class ExportError(VisiontasksError):
    """A task cannot be exported, or the exported file computes something else."""


class WorkerError(VisiontasksError):
    """A process that prepares batches died, or did not answer in time."""


class ProcessGroupError(VisiontasksError):
    """Another process of a training on several devices ended, or did not answer in time."""


class NonFiniteLossError(VisiontasksError):
    """A loss or its gradient became infinite or NaN; the weights were not updated with it."""


def check_choice(argument: str, value: str, known: Iterable[str]) -> None:
    """Check that the value of an argument is one of its known choices.

    Args:
        argument: Name of the argument.
        value: The value that was given.
        known: The known choices.

    Raises:
        ArgumentError: If the value is not among them; near matches are listed.

    Example:
        >>> check_choice("mode", "multilable", ["binary", "multilabel"])
        Traceback (most recent call last):
        visiontasks.errors.ArgumentError: mode is 'multilable'. Did you mean 'multilabel'?
    """
    names = list(known)
    if value not in names:
        message = f"{argument} is {value!r}. {near_matches(value, names)}"
        raise ArgumentError(message)


def near_matches(name: str, known: Iterable[str]) -> str:
    """Suggest the known names that are closest to a mistyped one.

    Args:
        name: The name that was given.
        known: The names that exist.

    Returns:
        A sentence to append to an error message.

    Example:
        >>> near_matches("resnet81", ["resnet18", "resnet50", "cnn"])
        "Did you mean 'resnet18' or 'resnet50'?"
        >>> near_matches("zebra", ["cnn", "alexnet"])
        "Known: 'alexnet', 'cnn'."
    """
    names = sorted(set(known))
    spelled = {known_name.lower(): known_name for known_name in names}
    close = get_close_matches(name.lower(), spelled, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(repr(spelled[match]) for match in close)}?"
    others = f" and {len(names) - 40} others" if len(names) > 40 else ""
    return f"Known: {', '.join(repr(match) for match in names[:40])}{others}."
