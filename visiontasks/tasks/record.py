"""Self-contained checkpoints: what a task records in them, and how it is created from one."""

import inspect
import re
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from visiontasks.arguments import noted_arguments, plain, plain_part
from visiontasks.errors import CheckpointError, listed
from visiontasks.import_paths import import_path
from visiontasks.state_dicts import COMPILED, check_fit, widened
from visiontasks.tasks.given_objects import describe, descriptions_in, make_again
from visiontasks.tasks.views import evaluation_view, recorded_view

if TYPE_CHECKING:
    import visiontasks.tasks.task

RECORD = "visiontasks"
"""Checkpoint key of what Lightning does not save: the task, properties of the data, and the optimiser's class."""

ModuleT = TypeVar("ModuleT", bound=LightningModule)

_TRAINING_ONLY = ("optimizer", "lr_scheduler")
_MOVED = re.compile("^(train|val|test)_metrics[.]")
"""Metrics that keep weights of their own; checkpoints written before a task owned its scores name them so."""
_RESTORING = ContextVar("restoring", default=False)


def is_restoring() -> bool:
    """Return whether a task is being created from a checkpoint."""
    return _RESTORING.get()


def save_arguments(module: LightningModule) -> dict[str, Any]:
    """Save the arguments that a module is constructed with as hyperparameters, if they are plain values.

    Optimiser and schedule matter only to training and are not saved.

    Args:
        module: The module, in its base constructor.

    Returns:
        The arguments that cannot be saved, by name, and how they are made; see
        :func:`~visiontasks.tasks.given_objects.describe`.
    """
    noted = {name: value for name, value in noted_arguments(module).items() if name not in _TRAINING_ONLY}
    saved, unsaved = plain_part(noted)
    module.save_hyperparameters(saved)
    return {name: describe(noted[name]) for name in unsaved}


def replace_hyperparameters(module: LightningModule, **values: object) -> None:
    """Replace saved values of arguments; arguments that are not saved remain unsaved.

    Args:
        module: The module.
        **values: The values by name.
    """
    changed = {name: plain(value) for name, value in values.items() if name in module.hparams}
    # Saved again rather than updated, because loggers receive what was saved first.
    module.save_hyperparameters({**module.hparams, **changed})


def write_record(task: "visiontasks.tasks.task.Task", checkpoint: dict[str, Any]) -> None:
    """Add the task, what it knows about the data, its optimiser, and how arguments that were not saved are made.

    Args:
        task: The task.
        checkpoint: What is about to be saved; changed in place.
    """
    # A subclass or data module that calls save_hyperparameters itself may have saved values of any type.
    for key in (task.CHECKPOINT_HYPER_PARAMS_KEY, LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY):
        if key in checkpoint:
            checkpoint[key], _ = plain_part(checkpoint[key])
    optimizers = [] if task._trainer is None else task._trainer.optimizers  # none in a loop of one's own
    checkpoint[RECORD] = {
        "task": type(task).__name__,
        "class_names": plain(task.class_names),
        "image_size": task.image_size,
        "view": plain(evaluation_view(task)),
        "root": task._parts.preparation.root,
        "normalization": task.normalize.mode,
        "unsaved": task._unsaved,
        "optimizer": import_path(type(optimizers[0])) if optimizers else None,
        "optimizer_options": plain(task._parts.resuming.given_options),
    }


def adopt_record(task: "visiontasks.tasks.task.Task", checkpoint: dict[str, Any]) -> None:
    """Adopt what a checkpoint knows about the data, before its weights are loaded.

    Args:
        task: The task.
        checkpoint: The checkpoint.

    Raises:
        CheckpointError: If training is resumed with the same number of classes but other class names.
    """
    task._record = record = checkpoint.get(RECORD, {})
    names, saved = task.class_names or [], record.get("class_names") or []
    # Lightning calls setup, which adopts the class names of the data, before it restores a checkpoint.
    if task._trainer is not None and "num_classes" in task.hparams and len(names) == len(saved) and names != saved:
        message = (
            f"The classes of the checkpoint are {listed(saved)}, those of the data {listed(names)}; expected the same, "
            "in the same order. Check that these are the data that you mean."
        )
        raise CheckpointError(message)
    adopt_description(task, record)
    for callback in task.owned_callbacks:
        callback.before_weights(task, checkpoint)


def adopt_description(task: "visiontasks.tasks.task.Task", record: Mapping[str, Any]) -> None:
    """Adopt what a record says of the data, where the task does not know it itself.

    Args:
        task: The task.
        record: The record of a checkpoint.
    """
    task.class_names = task.class_names or record.get("class_names")
    task.view = task.view or recorded_view(task, record)
    task.image_size = task.image_size or record.get("image_size")
    preparation = task._parts.preparation
    preparation.root = preparation.root or record.get("root")


def fitting_weights(module: LightningModule, state_dict: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    """Name weights as a module does, whether or not this module or the saved one is compiled, and check their shapes.

    Args:
        module: The module.
        state_dict: The weights.
        strict: Whether the keys have to match those of the module exactly.

    Returns:
        The weights by the module's names.

    Raises:
        CheckpointError: If the weights belong to another module.
    """
    current = module.state_dict()
    # torch.compile wraps modules, which changes their names.
    names = {key.replace(COMPILED, ""): key for key in current}
    weights = {_MOVED.sub(r"scores.\g<0>", key.replace(COMPILED, "")): value for key, value in state_dict.items()}
    weights = widened({names.get(key, key): value for key, value in weights.items()}, current)
    remedy = (
        "Create the task with the arguments it was trained with (num_classes, backbone, in_channels, ...), or "
        "leave them to load_from_checkpoint, which finds them in the file."
    )
    compared = current.keys() | weights.keys()
    if not strict:
        compared = current.keys() & weights.keys()
        remedy += (
            " strict=False leaves out what only one of them has, but no weight can take another shape. A new task "
            "can start from the backbone alone: backbone_weights=FILE."
        )
    check_fit(
        {key: value for key, value in current.items() if key in compared},
        {key: value for key, value in weights.items() if key in compared},
        "The checkpoint was made for another model",
        remedy,
        file="checkpoint",
        model="model",
    )
    return weights


def restore(
    kind: type[ModuleT],
    checkpoint: dict[str, Any],
    origin: str,
    strict: bool | None = None,
    **kwargs: Any,  # noqa: ANN401 (the arguments of any task)
) -> ModuleT:
    """Create the task of a checkpoint that was read.

    Args:
        kind: Its class.
        checkpoint: What :func:`~visiontasks.tasks.reading.read_checkpoint` returns.
        origin: Name of the file in messages.
        strict: See :meth:`~visiontasks.tasks.task.Task.load_from_checkpoint`.
        **kwargs: See :meth:`~visiontasks.tasks.task.Task.load_from_checkpoint`.

    Returns:
        The task, on the device of the weights.

    Raises:
        CheckpointError: If the weights are those of another model, or an instance has to be passed.
    """
    kwargs |= make_again(descriptions_in(checkpoint.get(RECORD, {})), kwargs, kind.__name__, origin)
    parameters = inspect.signature(kind).parameters
    saved = checkpoint.get(kind.CHECKPOINT_HYPER_PARAMS_KEY, {})
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        saved = {name: value for name, value in saved.items() if name in parameters}
    restoring = _RESTORING.set(True)
    try:
        task = kind(**{**saved, **kwargs})
    finally:
        _RESTORING.reset(restoring)
    task.configure_model()
    task.on_load_checkpoint(checkpoint)
    weights = checkpoint["state_dict"]
    differing = task.load_state_dict(weights, task.strict_loading if strict is None else strict)
    for names, holder in ((differing.missing_keys, "the checkpoint"), (differing.unexpected_keys, "the task")):
        if names:
            rank_zero_warn(f"{origin!r} was loaded in part; not in {holder}: {listed(names)}.")
    return task.to(next((value.device for value in weights.values() if isinstance(value, Tensor)), torch.device("cpu")))
