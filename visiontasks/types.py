"""Batches, predictions and what else travels between data and tasks.

Legend of the shapes in annotations: ``batch`` images in a batch, ``channels`` of an image or a feature map, ``height``
and ``width`` in pixels, ``classes`` without background.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int64, UInt8
from torch import Tensor

Images = UInt8[Tensor, "batch channels height width"] | Float[Tensor, "batch channels height width"]
"""Pixels: uint8 in 0 to 255, or floating point in 0 to 1."""


class ClassificationBatch(NamedTuple):
    """Images with one class each.

    Attributes:
        images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
        labels: Class of each image, 0 to ``num_classes`` - 1.
        ids: Position of each image in its data set; messages name images by it.
    """

    images: Images
    labels: Int64[Tensor, " batch"]
    ids: Int64[Tensor, " batch"]


class ClassificationPredictions(NamedTuple):
    """What a classifier says of each image.

    Attributes:
        probabilities: Probability of each class; rows sum to 1.
        labels: The most probable class.
        scores: Its probability.
    """

    probabilities: Float[Tensor, "batch classes"]
    labels: Int64[Tensor, " batch"]
    scores: Float[Tensor, " batch"]


class Statistics(NamedTuple):
    """Pixel statistics of a training split, pixels in 0 to 1.

    Attributes:
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        mean_image: Mean of each pixel; None when the images differ in size.
    """

    mean: Float[Tensor, " channels"]
    std: Float[Tensor, " channels"]
    mean_image: Float[Tensor, "channels height width"] | None


@runtime_checkable
class DataDescription(Protocol):
    """What a task wants to know of a data module; :class:`~visiontasks.data.base.VisionDataModule` offers it.

    Attributes:
        num_classes: Classes, background not counted.
        class_names: Their names, in the order of the labels.
        in_channels: Channels of the images.
        image_size: Height and width in pixels that batches have; None when it varies.
    """

    @property
    def num_classes(self) -> int: ...  # noqa: D102 (see the class)
    @property
    def class_names(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def in_channels(self) -> int: ...  # noqa: D102
    @property
    def image_size(self) -> tuple[int, int] | None: ...  # noqa: D102

    def statistics(self) -> Statistics:
        """Measure the pixel statistics of the training split."""
        ...
