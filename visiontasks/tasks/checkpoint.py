"""Checkpoints that are enough: what they hold, and how they are read."""

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from visiontasks.errors import CheckpointError
from visiontasks.state_dicts import COMPILED, load_file, mismatches
from visiontasks.tasks.arguments import noted_arguments, noting, plain, plain_part
from visiontasks.tasks.optimization import change_options, given_options, qualified_name, schedulers_of

RECORD = "visiontasks"
"""Key under which a checkpoint holds what Lightning does not: the task, what it learned of the data, its optimiser."""

_TRAINING_ONLY = ("optimizer", "lr_scheduler")
_RESTORING = ContextVar("restoring", default=False)


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
    checkpoint = load_file(path)
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        message = f"{str(path)!r} is no Lightning checkpoint: it has no 'state_dict'."
        raise CheckpointError(message)
    return checkpoint


def check_fit(own: Mapping[str, Tensor], loaded: Mapping[str, Tensor]) -> None:
    """Check that the tensors of a checkpoint fit a model, before any is copied.

    Args:
        own: The model's state dict.
        loaded: The checkpoint's state dict.

    Raises:
        CheckpointError: If keys are missing or unexpected or shapes differ; all are listed.
    """
    problems = mismatches(own, loaded, "checkpoint", "model")
    if problems:
        listed = "\n  ".join(problems)
        message = (
            f"The checkpoint was made for another model; nothing was loaded:\n  {listed}\nCreate the task with the "
            "arguments it was trained with (num_classes, backbone, in_channels, ...), or leave them to "
            "load_from_checkpoint, which finds them in the file."
        )
        raise CheckpointError(message)


class CheckpointedModule(LightningModule):
    """A module whose checkpoint is enough to create it again.

    The arguments of the most derived constructor are saved as hyperparameters where they are plain values; of the
    others a checkpoint notes the names, and loading asks for them. Optimiser and schedule matter to training only and
    are not saved, save for the optimiser's class.
    """

    _unsaved: list[str]
    class_names: list[str] | None
    image_size: tuple[int, int] | None
    image_bounds: tuple[int, int] | None = None
    """Shorter side and largest longer side of images that keep their shape, noted at the start of a fit."""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 (of any base beside this one)
        """Have the constructor note its arguments."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = noting(cls.__init__)  # type: ignore[method-assign]  # the same, and notes them

    def __init__(self) -> None:
        super().__init__()
        noted = {name: value for name, value in noted_arguments(self).items() if name not in _TRAINING_ONLY}
        saved, self._unsaved = plain_part(noted)
        self.save_hyperparameters(saved)
        self._restored = _RESTORING.get()
        self._record: dict[str, Any] = {}
        self._given_options: list[list[dict[str, Any]]] = []

    def save_instead(self, **values: object) -> None:
        """Save other values of arguments than those that the caller gave; arguments that are not saved stay so."""
        changed = {name: plain(value) for name, value in values.items() if name in self.hparams}
        # Saved, not updated: loggers are given what was saved first.
        self.save_hyperparameters({**self.hparams, **changed})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add which task it is, what it knows of the data, its optimiser, and which arguments could not be saved."""
        # A subclass, or a data module, that calls save_hyperparameters itself saves whatever it was given.
        for key in (self.CHECKPOINT_HYPER_PARAMS_KEY, LightningDataModule.CHECKPOINT_HYPER_PARAMS_KEY):
            if key in checkpoint:
                checkpoint[key], _ = plain_part(checkpoint[key])
        optimizers = self.trainer.optimizers
        checkpoint[RECORD] = {
            "task": type(self).__name__,
            "class_names": plain(self.class_names),
            "image_size": self.image_size,
            "image_bounds": self.image_bounds,
            "unsaved": self._unsaved,
            "optimizer": qualified_name(optimizers[0]) if optimizers else None,
            "optimizer_options": plain(self._given_options),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what a checkpoint knows of the data.

        Raises:
            CheckpointError: If a trainer goes on from it with as many classes that have other names.
        """
        self._record = record = checkpoint.get(RECORD, {})
        names, saved = self.class_names or [], record.get("class_names") or []
        # Lightning sets a task up, with the names of the data, before it restores it.
        if self._trainer is not None and "num_classes" in self.hparams and len(names) == len(saved) and names != saved:
            message = (
                f"The classes of the checkpoint are {saved}, those of the data {names}; expected the same, in the same "
                "order. Check that these are the data that you mean."
            )
            raise CheckpointError(message)
        self.class_names = self.class_names or record.get("class_names")
        self.image_size = self.image_size or record.get("image_size")
        self.image_bounds = self.image_bounds or record.get("image_bounds")

    def on_validation_start(self) -> None:
        """Warn where images have another size than in training."""
        self._compare_size()

    def on_test_start(self) -> None:
        """Warn where images have another size than in training."""
        self._compare_size()

    def _compare_size(self) -> None:
        found = getattr(getattr(self.trainer, "datamodule", None), "image_size", None)
        # What the checkpoint says; the task's own may have come from these data.
        trained = self._record.get("image_size")
        if self.trainer.state.fn != TrainerFn.FITTING and found and trained and tuple(found) != tuple(trained):
            rank_zero_warn(
                f"The images are {found[0]} x {found[1]} pixels (height x width), the task was trained on "
                f"{trained[0]} x {trained[1]}. Give the data that size, unless this is meant."
            )

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
        names = {key.replace(COMPILED, ""): key for key in own}
        weights = {key.replace(COMPILED, ""): value for key, value in state_dict.items()}
        weights = {names.get(key, key): value for key, value in weights.items()}
        if strict:
            check_fit(own, weights)
        return super().load_state_dict(weights, strict, assign)

    def on_fit_start(self) -> None:
        """Check that training goes on with the optimiser that it was begun with.

        Raises:
            CheckpointError: If it does not.
        """
        before, now = self._record.get("optimizer"), qualified_name(self.trainer.optimizers[0])
        if before and self.trainer.ckpt_path and before != now:
            message = (
                f"The checkpoint was trained with {before}, and would go on with {now}: the optimiser's state does not "
                "fit. Use the same optimiser, or start a new training from the weights with load_from_checkpoint."
            )
            raise CheckpointError(message)
        self._given_options = [given_options(optimizer) for optimizer in self.trainer.optimizers]

    def on_train_start(self) -> None:
        """Let what was given now win over what the checkpoint brought back: the learning rate, the weight decay, ..."""
        before = self._record.get("optimizer_options", [])
        if self.trainer.ckpt_path and before:
            changed: dict[str, None] = {}
            for optimizer, old, new in zip(self.trainer.optimizers, before, self._given_options, strict=False):
                now = [{name: plain(value) for name, value in group.items()} for group in new]
                changed |= dict.fromkeys(change_options(optimizer, schedulers_of(self.trainer, optimizer), old, now))
            if changed:
                rank_zero_info(
                    f"Going on with other options than the checkpoint was trained with: {', '.join(changed)}."
                )

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
        restoring = _RESTORING.set(True)
        try:
            return super().load_from_checkpoint(
                checkpoint_path, map_location=map_location, strict=strict, weights_only=True, **kwargs
            )
        finally:
            _RESTORING.reset(restoring)
