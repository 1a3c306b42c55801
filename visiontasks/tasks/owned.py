"""What a task does in Lightning's hooks, so that a subclass may override any of them without a call of ``super()``.

In Lightning nobody calls ``super()`` in hooks. What a task does there is therefore done by callbacks of its own. Three
hooks have to be the module's: the one that adds these callbacks, and those of checkpoints, because Lightning calls no
callbacks for checkpoints of weights only, or only when the weights have been loaded.
"""

import functools
from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule

Hook = Callable[..., Any]


class OwnedCallback(Callback):
    """A callback that a task brings along; it runs after all others that write no checkpoints."""

    def before_weights(self, task: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at a checkpoint before its weights are loaded, by a Trainer or without one.

        Args:
            task: The task.
            checkpoint: The checkpoint; it may be changed in place.
        """


def protect_hooks(kind: Any, record_hooks: tuple[Hook, ...]) -> None:  # noqa: ANN401 (a class of tasks)
    """Let a class keep its callbacks and its record in checkpoints, whatever hooks it defines.

    Args:
        kind: The class; changed in place.
        record_hooks: The hooks of checkpoints by which a task writes and adopts its record.
    """
    kind.configure_callbacks = _with_owned(kind.configure_callbacks)
    for hook in record_hooks:
        setattr(kind, hook.__name__, _after(hook, getattr(kind, hook.__name__)))


def _with_owned(hook: Hook) -> Hook:
    if hasattr(hook, "protected"):
        return hook

    @functools.wraps(hook)
    def configure_callbacks(self: Any) -> list[Callback]:  # noqa: ANN401 (a task)
        configured = hook(self)
        callbacks = list(configured) if isinstance(configured, list | tuple) else [configured] if configured else []
        if self._trainer is not None:
            # Those of an earlier run or of another task.
            self.trainer.callbacks[:] = without_owned(self.trainer.callbacks)
        return [*without_owned(callbacks), *self.owned_callbacks]

    configure_callbacks.protected = True  # type: ignore[attr-defined]  # a mark, for subclasses
    return configure_callbacks


def _after(first: Hook, hook: Hook) -> Hook:
    if hook is first or hasattr(hook, "protected"):
        return hook

    @functools.wraps(hook)
    def of_checkpoint(self: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ANN401 (a task)
        first(self, checkpoint)
        hook(self, checkpoint)

    of_checkpoint.protected = True  # type: ignore[attr-defined]  # a mark, for subclasses
    return of_checkpoint


def without_owned(callbacks: list[Callback]) -> list[Callback]:
    """Return the callbacks that are no task's own."""
    return [callback for callback in callbacks if not isinstance(callback, OwnedCallback)]
