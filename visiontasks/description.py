"""What a task needs to know about a data module, beside its batches."""

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int64
from torch import Tensor


class Statistics(NamedTuple):
    """Pixel statistics of a training split, for pixels in 0 to 1.

    Attributes:
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        mean_image: Mean of each pixel; None if the images differ in size.
    """

    mean: Float[Tensor, " channels"]
    std: Float[Tensor, " channels"]
    mean_image: Float[Tensor, "channels height width"] | None


class ClassCounts(NamedTuple):
    """How often each class occurs in a training split.

    Attributes:
        images: Number of images in the split.
        with_class: Number of images that have each class.
    """

    images: int
    with_class: Int64[Tensor, " classes"]


@runtime_checkable
class DataDescription(Protocol):
    """What a task needs to know about a data module, as :class:`~visiontasks.VisionDataModule` does.

    Attributes:
        num_classes: Number of classes, background not counted.
        class_names: Their names, in the order of the labels.
        in_channels: Channels of the images.
        image_size: Height and width of the batches in pixels; None if they vary.
        view: How images are brought to the network in evaluation, in plain types (``policy``, its sizes and
            ``multiple``), as the checkpoint records it; None if it is unknown. See
            :class:`~visiontasks.data.augmentation.evaluation_view.EvaluationView`.
    """

    @property
    def num_classes(self) -> int: ...  # noqa: D102 (see the class)
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def in_channels(self) -> int: ...  # noqa: D102
    @property
    def image_size(self) -> tuple[int, int] | None: ...  # noqa: D102
    @property
    def view(self) -> dict[str, Any] | None: ...  # noqa: D102

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split."""
        ...


@runtime_checkable
class OffersTrainingImages(Protocol):
    """A data module that loads unaugmented training images, as ``VisionDataModule`` does."""

    def unaugmented_dataloader(self, count: int | None = None) -> Iterable[NamedTuple]:
        """Load training images once each and without augmentation: ``count`` of them, evenly spaced, or all."""
        ...


@runtime_checkable
class CountsClasses(Protocol):
    """A data module that counts its classes, like :class:`~visiontasks.VisionDataModule`."""

    def class_counts(self) -> ClassCounts:
        """Count the images of each class in the training split."""
        ...
