"""Checkpoints that are enough: what they hold, and how they are read."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Self

import torch
from lightning.pytorch import LightningModule
from torch import Tensor

from visiontasks.errors import CheckpointError
from visiontasks.tasks.optimization import qualified_name

RECORD = "visiontasks"
"""Key under which a checkpoint holds what Lightning does not: the task, what it learned of the data, its optimiser."""

_COMPILED = "_orig_mod."
_TRAINING_ONLY = ("optimizer", "lr_scheduler")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file without running any code that it may hold.

    Args:
        path: The file.

    Returns:
        What Lightning saved: ``state_dict``, ``hyper_parameters`` and so on, tensors on the CPU.

    Raises:
        CheckpointError: If the file is missing, damaged, holds other objects than tensors and plain values, or is no
            checkpoint of a LightningModule.
    """
    path = Path(path)
    if not path.is_file():
        near = sorted(path.parent.glob("*.ckpt")) if path.parent.is_dir() else []
        hint = f" Beside it: {', '.join(found.name for found in near)}." if near else ""
        message = f"There is no checkpoint {str(path)!r}.{hint} Nothing was trained or evaluated."
        raise CheckpointError(message)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # torch names the object, and advises to load unsafely, which is what this function must not do. What else it
        # raises depends on the byte where a file is damaged.
        unsafe = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, UnpicklingError) else None
        if unsafe:
            message = (
                f"{str(path)!r} holds {unsafe[1]} beside tensors and plain values, and was refused, because loading it "
                "could run code. Checkpoints of visiontasks never need that; do not load this file if you do not know "
                "its origin."
            )
        else:
            message = f"{str(path)!r} is damaged or no checkpoint ({type(error).__name__}). Use an earlier one."
        raise CheckpointError(message) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        message = f"{str(path)!r} is no Lightning checkpoint: it has no 'state_dict'."
        raise CheckpointError(message)
    return checkpoint


def plain(value: object) -> object:
    """Turn an argument into what a checkpoint can hold safely.

    Args:
        value: None, a bool, number, string, path or tensor, or lists, tuples and mappings of them.

    Returns:
        The same as plain Python values, tensors as lists.

    Raises:
        TypeError: If it is anything else.

    Example:
        >>> plain({"weights": torch.tensor([1.0, 2.0]), "filters": (8, 16)})
        {'weights': [1.0, 2.0], 'filters': (8, 16)}
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    message = f"{type(value).__name__} is not a plain value"
    raise TypeError(message)


def check_fit(own: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> None:
    """Check that the tensors of a checkpoint fit a model, before any is copied.

    Args:
        own: The model's state dict.
        loaded: The checkpoint's state dict.

    Raises:
        CheckpointError: If keys are missing or unexpected or shapes differ; all are listed.
    """
    problems = [
        f"{key}: {list(loaded[key].shape)} in the checkpoint, {list(own[key].shape)} in the model"
        for key in own.keys() & loaded.keys()
        if own[key].shape != loaded[key].shape
    ]
    problems += [f"{key}: not in the checkpoint" for key in own.keys() - loaded.keys()]
    problems += [f"{key}: not in the model" for key in loaded.keys() - own.keys()]
    if problems:
        listed = "\n  ".join(sorted(problems))
        message = (
            f"The checkpoint was made for another model; nothing was loaded:\n  {listed}\nCreate the task with the "
            "arguments it was trained with (num_classes, backbone, in_channels, ...), or leave them to "
            "load_from_checkpoint, which finds them in the file."
        )
        raise CheckpointError(message)


def _positional_names(bases: Sequence[type]) -> Iterator[str]:
    """Name the arguments that a constructor with ``*args`` passes on to those of its bases."""
    for base in bases:
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]  # type: ignore[misc]  # of a class
        yield from (parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD)
        if all(parameter.kind is not parameter.VAR_POSITIONAL for parameter in parameters):
            return


class CheckpointedModule(LightningModule):
    """A module whose checkpoint is enough to create it again.

    The arguments of the most derived constructor are saved as hyperparameters where they are plain values; of the
    others a checkpoint notes the names, and loading asks for them. Optimiser and schedule matter to training only and
    are not saved, save for the optimiser's class.
    """

    _unsaved: list[str]
    class_names: list[str] | None
    image_size: tuple[int, int] | None

    def __init_subclass__(cls) -> None:
        """Show the constructor's arguments as those of the class; ``__new__`` would hide them from help."""
        super().__init_subclass__()
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        cls.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # inspect.signature looks for it

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: ANN401 (the arguments of any subclass)
        """Note the arguments as the caller gave them, whatever the constructors in between do with them."""
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(self, *args, **kwargs)
        except TypeError:
            # Copying and unpickling pass none; for a wrong call, __init__ raises the error.
            return self
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        for name, parameter in bound.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                arguments |= dict(zip(_positional_names(cls.__mro__[1:]), arguments.pop(name, ()), strict=False))
        self.__dict__["_arguments"] = arguments
        return self

    def __init__(self) -> None:
        super().__init__()
        saved, self._unsaved = {}, []
        for name, value in self.__dict__.pop("_arguments").items():
            if name in _TRAINING_ONLY:
                continue
            try:
                saved[name] = plain(value)
            except TypeError:
                self._unsaved.append(name)
        self.save_hyperparameters(saved)
        self._resumed_optimizer: str | None = None

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add which task it is, what it knows of the data, its optimiser, and which arguments could not be saved."""
        optimizers = self.trainer.optimizers
        checkpoint[RECORD] = {
            "task": type(self).__name__,
            "class_names": self.class_names,
            "image_size": self.image_size,
            "unsaved": self._unsaved,
            "optimizer": qualified_name(optimizers[0]) if optimizers else None,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what a checkpoint knows of the data."""
        record = checkpoint.get(RECORD, {})
        self._resumed_optimizer = record.get("optimizer")
        self.class_names = self.class_names or record.get("class_names")
        self.image_size = self.image_size or record.get("image_size")

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401 (a type private to torch)
        """Copy weights, whether this model or the one that they come from is compiled.

        Args:
            state_dict: The weights.
            strict: Whether all weights of the model, and no others, have to be there.
            assign: See :meth:`torch.nn.Module.load_state_dict`.

        Returns:
            Keys that are missing, and keys that are not the model's.

        Raises:
            CheckpointError: If the weights were made for another model; nothing is copied then.
        """
        own = self.state_dict()
        # torch.compile wraps modules, which shows in the names.
        names = {key.replace(_COMPILED, ""): key for key in own}
        weights = {key.replace(_COMPILED, ""): value for key, value in state_dict.items()}
        weights = {names.get(key, key): value for key, value in weights.items()}
        if strict:
            check_fit(own, weights)
        return super().load_state_dict(weights, strict, assign)

    def on_fit_start(self) -> None:
        """Check that training goes on with the optimiser that it was begun with.

        Raises:
            CheckpointError: If it does not.
        """
        before, self._resumed_optimizer = self._resumed_optimizer, None
        now = qualified_name(self.trainer.optimizers[0])
        if before and self.trainer.ckpt_path and before != now:
            message = (
                f"The checkpoint was trained with {before}, and would go on with {now}: the optimiser's state does not "
                "fit. Use the same optimiser, or start a new training from the weights with load_from_checkpoint."
            )
            raise CheckpointError(message)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # narrower: no pickles, no hyperparameter files
        cls,
        checkpoint_path: str | Path,
        map_location: Any = None,  # noqa: ANN401 (what torch.load takes)
        strict: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of any subclass)
    ) -> Self:
        """Create the task that a checkpoint holds, with its weights.

        Args:
            checkpoint_path: The file.
            map_location: Device to load to, see :func:`torch.load`.
            strict: Whether every weight has to be there; true by default.
            **kwargs: Arguments of the constructor that replace saved ones, and those that could not be saved
                (instances).

        Returns:
            The task.

        Raises:
            CheckpointError: If the file is missing, damaged, unsafe or for another model, or an instance has to be
                passed.
        """
        record = read_checkpoint(checkpoint_path).get(RECORD, {})
        missing = [name for name in record.get("unsaved", []) if name not in kwargs]
        if missing:
            listed = ", ".join(f"{name}=..." for name in missing)
            message = (
                f"{str(checkpoint_path)!r} was made with an instance as "
                f"{' and '.join(repr(name) for name in missing)}, which a checkpoint cannot hold. Pass it again: "
                f"{cls.__name__}.load_from_checkpoint(path, {listed})."
            )
            raise CheckpointError(message)
        return super().load_from_checkpoint(
            checkpoint_path, map_location=map_location, strict=strict, weights_only=True, **kwargs
        )
