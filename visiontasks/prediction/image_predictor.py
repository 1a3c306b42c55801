"""What every task needs in order to predict images: they are resized, batched, predicted, and taken apart again."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Whole
from visiontasks.data.augmentation.windows import Window
from visiontasks.data.images.arrays import Pixels
from visiontasks.data.images.reading import Reading
from visiontasks.data.loading.collate import collate
from visiontasks.errors import ArgumentError
from visiontasks.options import MAX_PIXELS
from visiontasks.tasks.batches import without_truth

Fields = dict[str, Any]
"""Fields of :class:`~visiontasks.prediction.results.Prediction` that a task fills."""


class PreparedImage(NamedTuple):
    """An image that is ready for the network.

    Attributes:
        images: Its pixels.
        sizes: Its height and width.
        proposals: Boxes of proposals in its pixels; none for most tasks.
    """

    images: UInt8[Tensor, "... channels height width"]
    sizes: Int64[Tensor, "... 2"]
    proposals: Float32[Tensor, "... proposals 4"]


class Sample(NamedTuple):
    """A prepared image, and the part of the original that it shows."""

    prepared: PreparedImage
    window: Window


class ImagePredictor:
    """Predicts images with a task of any kind, and writes them as its ``kind`` says.

    Args:
        task: The task, on its device and in evaluation mode.
        view: How images are brought to it.

    Attributes:
        batch_size: Default number of images computed at once; 1 for images that keep their own sizes.
        lists_unsure: Whether there are many results of low score, which output for people leaves out.

    Raises:
        ArgumentError: If the task's methods do not take the options of this call.
    """

    usual_batch_size = 64
    lists_unsure = False

    def __init__(self, task: Any, view: EvaluationView) -> None:  # noqa: ANN401 (the task of a subclass)
        self.task = task
        self.view = view
        self.whole = isinstance(view.resizing, Whole)
        self.batch_size = 1 if self.whole else self.usual_batch_size
        self.batch_type = (task.kind and task.kind.batch) or task.batch_type
        self.class_names: list[str] = task.display_names
        self.forward_options: dict[str, Any] = {}
        self.predict_options: dict[str, Any] = {}

    def reading(self, max_pixels: int = MAX_PIXELS) -> Reading:
        """Return how files are read: as in evaluation."""
        return Reading(self.task.in_channels, self.view.value_range, self.view.exif, max_pixels)

    def prepare(self, pixels: Pixels, name: Path | int) -> Sample:
        """Resize an image as in evaluation; called in several threads at once.

        Raises:
            DataError: If it cannot be done for this image.
        """
        image, window = self.view.show(pixels)
        return Sample(PreparedImage(image, torch.tensor(image.shape[1:]), self.proposals(name, window)), window)

    def proposals(self, name: Path | int, window: Window) -> Float32[Tensor, "proposals 4"]:
        """Return the proposals of an image in pixels of the network's input; by default there are none."""
        return torch.zeros(0, 4)

    @torch.inference_mode()
    def predict(self, samples: Sequence[Sample]) -> list[Fields]:
        """Predict prepared images, in batches of one size, see :mod:`visiontasks.tasks.same_sizes`."""
        multiple = self.view.multiple
        positions: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for position, sample in enumerate(samples):
            positions[tuple(-(-side // multiple) for side in sample.window.size)].append(position)
        fields: dict[int, Fields] = {}
        for group in positions.values():
            fields |= zip(group, self.predict_batch([samples[position] for position in group]), strict=True)
        return [fields[position] for position in range(len(samples))]

    def predict_batch(self, samples: Sequence[Sample]) -> list[Fields]:
        """Predict images in one batch."""
        batch = self.batch(samples)
        predictions = _map(self.task.predict(self.outputs(batch), **self.predict_options), Tensor.cpu)
        draw = self.task.kind and self.task.kind.draw
        of_images = []
        for index, (_, window) in enumerate(samples):
            of_one = partial(_image_of, index=index)
            of_image = _map(predictions, of_one)
            fields = self.fields(of_image, window)
            if draw:
                fields["picture"] = partial(draw, _map(_map(batch, of_one), Tensor.cpu), of_image, self.class_names)
            of_images.append(fields)
        return of_images

    def batch(self, samples: Sequence[Sample]) -> Any:  # noqa: ANN401 (each task has its own)
        """Make the batch of the task, on its device, of images whose truth is unknown."""
        prepared = collate([sample.prepared for sample in samples], self.view.multiple)
        known = {name: field.to(self.task.device) for name, field in prepared._asdict().items()}
        return without_truth(self.batch_type, **known)

    def outputs(self, batch: Any) -> Any:  # noqa: ANN401 (each task has its own)
        """Compute the raw outputs of a batch as in evaluation."""
        return self.task.eval_forward(*self.task.inputs(batch), **self.forward_options)

    def fields(self, predictions: Any, window: Window) -> Fields:  # noqa: ANN401 (each task has its own)
        """Fill the fields of the prediction of one image.

        Args:
            predictions: The predictions of this image alone, on the CPU.
            window: The part of the original that the network sees, and the size at which it sees it.
        """
        return {"values": self.task.kind.row(predictions, self.class_names)}

    def named(self, labels: Sequence[int], scores: Sequence[float]) -> Fields:
        """Add the class names to labels and scores."""
        names = tuple(self.class_names[label] for label in labels)
        return {"labels": tuple(labels), "class_names": names, "scores": tuple(scores)}


def given_options(method: Callable[..., Any], **options: object) -> dict[str, Any]:
    """Select the options that are given, and check that a method, which a subclass may override, takes them.

    Args:
        method: Method of a task.
        **options: Options by name; None for one that is not given.

    Raises:
        ArgumentError: If it does not take one that is given.
    """
    given = {name: value for name, value in options.items() if value is not None}
    taken = inspect.signature(method).parameters
    missing = [name for name in given if name not in taken]
    if missing:
        owner = type(method.__self__).__name__  # type: ignore[attr-defined]  # it is bound to a task
        message = (
            f"{' and '.join(missing)} is given, but {owner}.{method.__name__} does not take it. Add the argument to "
            "this method, as in the class that it overrides, or leave the option out."
        )
        raise ArgumentError(message)
    return given


def _map(value: Any, function: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401 (a tensor or a tuple of them)
    """Apply a function to each tensor of a NamedTuple, of nested ones, or to a tensor."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, tuple):
        fields = [_map(field, function) for field in value]
        return type(value)(*fields) if hasattr(value, "_fields") else tuple(fields)
    if isinstance(value, Mapping):
        return {name: _map(field, function) for name, field in value.items()}
    return value


def _image_of(values: Tensor, index: int) -> Tensor:
    return values[index : index + 1]
