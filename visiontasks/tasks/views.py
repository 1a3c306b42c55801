"""How images are brought to a task in evaluation, as plain values that its checkpoint records.

A view names a policy (``Stretch``, ``Within`` or ``Whole``), its sizes, and the multiple of which the sides of a batch
are; see :class:`~visiontasks.data.augmentation.evaluation_view.EvaluationView`, which is created from it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

if TYPE_CHECKING:
    import visiontasks.tasks.task

View = dict[str, Any]
WHOLE: View = {"policy": "Whole", "multiple": 1}


class SeenImages:
    """The size of the images in the batches of a fit; those of the validation count if there are any.

    Example:
        >>> import torch
        >>> from visiontasks import AutoencodingBatch
        >>> seen = SeenImages()
        >>> seen.note(AutoencodingBatch(torch.zeros(2, 3, 8, 12), torch.zeros(2).long(), torch.arange(2)), "train")
        >>> seen.view()
        {'policy': 'Stretch', 'size': [8, 12], 'multiple': 1}
    """

    def __init__(self) -> None:
        self._sizes: dict[str, set[tuple[int, int]]] = {}
        self._padded: dict[str, Tensor] = {}

    def __bool__(self) -> bool:
        """Return whether any batch was seen."""
        return bool(self._sizes)

    def note(self, batch: Any, stage: Literal["train", "val"]) -> None:  # noqa: ANN401 (each task has its own)
        """Note the size of the images of a batch, without waiting for the device."""
        height, width = batch.images.shape[-2:]
        self._sizes.setdefault(stage, set()).add((height, width))
        inside = getattr(batch, "sizes", None)
        if isinstance(inside, Tensor):
            padded = ((inside[:, 0] != height) | (inside[:, 1] != width)).any()
            self._padded[stage] = padded | self._padded[stage] if stage in self._padded else padded

    def view(self) -> View | None:
        """Return the view that stretches images to the size of those seen; None if their sizes differ."""
        stage = "val" if "val" in self._sizes else "train"
        sizes = self._sizes.get(stage, set())
        if len(sizes) != 1 or (stage in self._padded and bool(self._padded[stage])):
            return None
        return _stretched(*sizes)


def evaluation_view(task: "visiontasks.tasks.task.Task") -> View | None:
    """Return how images are brought to a task in evaluation.

    As in the batches of the last fit; otherwise as recorded; otherwise stretched to the task's image size; otherwise
    whole, if it takes images of any size.

    Args:
        task: The task.

    Returns:
        The view; None if it is unknown.
    """
    if task._parts.preparation.seen:
        return task._parts.preparation.seen.view()
    if task.view is not None:
        return task.view
    if task.image_size is not None:
        return _stretched(task.image_size)
    return WHOLE if task.any_size else None


def scale_of(view: View | None) -> float:
    """Return the factor of the size of an image at which a view lets the network see it, which is up to the task."""
    return float((view or WHOLE).get("scale", 1))


def describe_size(source: Any) -> str:  # noqa: ANN401 (data, or what a checkpoint records of them)
    """Describe the size to which images are brought; empty if they are not resized, or nothing is known.

    Args:
        source: What has a ``view`` or an ``image_size``.

    Example:
        >>> from types import SimpleNamespace
        >>> describe_size(SimpleNamespace(image_size=[240, 320]))
        '240 x 320 pixels (height x width)'
    """
    view: View = getattr(source, "view", None) or {}
    if view.get("policy") == "Within":
        return f"within {view['shorter']} x {view['longer']} pixels (shorter x longer side)"
    size = view.get("size") or getattr(source, "image_size", None)
    return f"{size[0]} x {size[1]} pixels (height x width)" if size else ""


def multiple_of(task: "visiontasks.tasks.task.Task") -> int:
    """Return the number of which the height and width of an evaluated image are a multiple."""
    return int((task.view or WHOLE).get("multiple", 1))


def recorded_view(task: "visiontasks.tasks.task.Task", record: Mapping[str, Any]) -> View | None:
    """Return the view in the record of a checkpoint.

    Args:
        task: The task.
        record: The record. One that was written before it held the view tells the bounds of the sides of images, if
            they kept their shape; segmentations saw whole images.

    Returns:
        The view; None if it has to be derived from the task, see :func:`evaluation_view`.
    """
    size = record.get("image_size")
    if task.image_size is not None and tuple(task.image_size) != tuple(size or ()):
        return None  # because another size was given
    if "view" in record:
        view: View | None = record["view"]
        return view
    if record.get("image_bounds"):
        shorter, longer = record["image_bounds"]
        return {"policy": "Within", "shorter": shorter, "longer": longer, "multiple": 32}
    return WHOLE if task.takes == "segmentation" else None


def _stretched(size: tuple[int, int]) -> View:
    return {"policy": "Stretch", "size": list(size), "multiple": 1}
