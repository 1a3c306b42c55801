"""Self-contained checkpoints: what they hold, and how a task is created from one."""

import inspect
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Self

import torch
from lightning.pytorch import LightningDataModule, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from visiontasks.errors import CheckpointError
from visiontasks.serialization import Source, name_of
from visiontasks.state_dicts import COMPILED, check_fit
from visiontasks.tasks.arguments import noted_arguments, noting, plain, plain_part
from visiontasks.tasks.optimization import change_options, given_options, qualified_name, schedulers_of
from visiontasks.tasks.reading import check_device, check_weights_only, read_checkpoint, saved_device

RECORD = "visiontasks"
"""Checkpoint key of what Lightning does not save: the task, properties of the data, and the optimiser's class."""

_TRAINING_ONLY = ("optimizer", "lr_scheduler")
_RESTORING = ContextVar("restoring", default=False)


class CheckpointedModule(LightningModule):
    """A module that can be created again from its checkpoint alone.

    Arguments of the most derived constructor are saved as hyperparameters if they are plain values; for the others a
    checkpoint records the names, and loading asks for the values. Optimiser and schedule matter only to training and
    are not saved, except for the optimiser's class.
    """

    _unsaved: list[str]
    class_names: list[str] | None
    image_size: tuple[int, int] | None
    image_bounds: tuple[int, int] | None = None
    """Shorter side and largest longer side of images that keep their aspect ratio, recorded at the start of a fit."""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 (of any base beside this one)
        """Wrap the constructor so that its arguments are recorded."""
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__init__ = noting(cls.__init__)  # type: ignore[method-assign]  # the same, but records its arguments

    def __init__(self) -> None:
        super().__init__()
        noted = {name: value for name, value in noted_arguments(self).items() if name not in _TRAINING_ONLY}
        saved, self._unsaved = plain_part(noted)
        self.save_hyperparameters(saved)
        self._restored = _RESTORING.get()
        self._record: dict[str, Any] = {}
        self._given_options: list[list[dict[str, Any]]] = []

    def save_instead(self, **values: object) -> None:
        """Replace saved values of arguments; arguments that are not saved remain unsaved."""
        changed = {name: plain(value) for name, value in values.items() if name in self.hparams}
        # Saved again rather than updated, because loggers receive what was saved first.
        self.save_hyperparameters({**self.hparams, **changed})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the task, what it knows about the data, its optimiser, and the names of arguments that were not saved."""
        # A subclass or data module that calls save_hyperparameters itself may have saved values of any type.
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
        """Adopt what the checkpoint knows about the data.

        Raises:
            CheckpointError: If training is resumed with the same number of classes but other class names.
        """
        self._record = record = checkpoint.get(RECORD, {})
        names, saved = self.class_names or [], record.get("class_names") or []
        # Lightning calls setup, which adopts the class names of the data, before it restores a checkpoint.
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
        """Warn if images have another size than in training."""
        self._compare_size()

    def on_test_start(self) -> None:
        """Warn if images have another size than in training."""
        self._compare_size()

    def _compare_size(self) -> None:
        found = getattr(getattr(self.trainer, "datamodule", None), "image_size", None)
        # The size in the checkpoint: the task's own may come from the present data.
        trained = self._record.get("image_size")
        if self.trainer.state.fn != TrainerFn.FITTING and found and trained and tuple(found) != tuple(trained):
            rank_zero_warn(
                f"The images are {found[0]} x {found[1]} pixels (height x width), the task was trained on "
                f"{trained[0]} x {trained[1]}. Give the data that size, unless this is meant."
            )

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401 (a type private to torch)
        """Load weights, whether or not this model or the saved one is compiled.

        Args:
            state_dict: The weights.
            strict: Whether the keys have to match those of the model exactly.
            assign: See :meth:`torch.nn.Module.load_state_dict`.

        Returns:
            The missing keys and the unexpected keys.

        Raises:
            CheckpointError: If the weights belong to another model; in that case nothing is copied.
        """
        own = self.state_dict()
        # torch.compile wraps modules, which changes their names.
        names = {key.replace(COMPILED, ""): key for key in own}
        weights = {key.replace(COMPILED, ""): value for key, value in state_dict.items()}
        weights = {names.get(key, key): value for key, value in weights.items()}
        remedy = (
            "Create the task with the arguments it was trained with (num_classes, backbone, in_channels, ...), or "
            "leave them to load_from_checkpoint, which finds them in the file."
        )
        compared = own.keys() | weights.keys()
        if not strict:
            compared = own.keys() & weights.keys()
            remedy += (
                " strict=False leaves out what only one of them has, but no weight can take another shape. A new task "
                "can start from the backbone alone: backbone_weights=FILE."
            )
        check_fit(
            {key: value for key, value in own.items() if key in compared},
            {key: value for key, value in weights.items() if key in compared},
            "The checkpoint was made for another model",
            remedy,
            file="checkpoint",
            model="model",
        )
        return super().load_state_dict(weights, strict, assign)

    def on_fit_start(self) -> None:
        """Check that training is resumed with the same optimiser.

        Raises:
            CheckpointError: If the optimiser is another one.
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
        """Let newly given options, such as learning rate and weight decay, take precedence over the checkpoint's."""
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
        checkpoint_path: Source,
        map_location: Any = None,  # noqa: ANN401 (what torch.load takes)
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of any subclass)
    ) -> Self:
        """Create the task that a checkpoint holds, with its weights.

        Args:
            checkpoint_path: A file, a remote address (``s3://...``, ``https://...``), a run folder, which stands for
                its best checkpoint, or a file object.
            map_location: Device to load to, see :func:`torch.load`; by default the one that was saved from if there is
                such, otherwise the CPU.
            strict: Whether the keys of the weights have to match exactly; true by default.
            weights_only: As in Lightning, but never false: that would let the file run code.
            **kwargs: Constructor arguments that replace saved ones, and those that could not be saved (instances).

        Returns:
            The task.

        Raises:
            ArgumentError: If ``weights_only`` is false, or there is no such device.
            CheckpointError: If the file is missing, damaged, unsafe or for another model, or an instance has to be
                passed.
        """
        check_weights_only(weights_only)
        if map_location is not None:
            check_device(map_location)
        checkpoint = read_checkpoint(checkpoint_path, map_location=map_location or saved_device)
        return cls.restore(checkpoint, name_of(checkpoint_path), strict, **kwargs)

    @classmethod
    def restore(
        cls,
        checkpoint: dict[str, Any],
        origin: str,
        strict: bool | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of any subclass)
    ) -> Self:
        """Create the task of a checkpoint that was read.

        Args:
            checkpoint: What :func:`read_checkpoint` returns.
            origin: Name of the file in messages.
            strict: See :meth:`load_from_checkpoint`.
            **kwargs: See :meth:`load_from_checkpoint`.

        Returns:
            The task, on the device of the weights.

        Raises:
            CheckpointError: If the weights are those of another model, or an instance has to be passed.
        """
        missing = [name for name in checkpoint.get(RECORD, {}).get("unsaved", []) if name not in kwargs]
        if missing:
            listed = ", ".join(f"{name}=..." for name in missing)
            message = (
                f"{origin!r} was made with an instance as "
                f"{' and '.join(repr(name) for name in missing)}, which a checkpoint cannot hold. Pass it again: "
                f"{cls.__name__}.load_from_checkpoint(path, {listed})."
            )
            raise CheckpointError(message)
        parameters = inspect.signature(cls).parameters
        saved = checkpoint.get(cls.CHECKPOINT_HYPER_PARAMS_KEY, {})
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            saved = {name: value for name, value in saved.items() if name in parameters}
        restoring = _RESTORING.set(True)
        try:
            task = cls(**{**saved, **kwargs})
        finally:
            _RESTORING.reset(restoring)
        task.configure_model()
        task.on_load_checkpoint(checkpoint)
        weights = checkpoint["state_dict"]
        differing = task.load_state_dict(weights, task.strict_loading if strict is None else strict)
        for names, place in ((differing.missing_keys, "the checkpoint"), (differing.unexpected_keys, "the task")):
            if names:
                rank_zero_warn(f"{origin!r} was loaded in part; not in {place}: {', '.join(names)}.")
        return task.to(
            next((value.device for value in weights.values() if isinstance(value, Tensor)), torch.device("cpu"))
        )
