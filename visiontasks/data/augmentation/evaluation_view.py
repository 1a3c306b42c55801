"""The evaluation view of a data set: how images are brought to the network in validation, test and prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

from jaxtyping import UInt8
from torch import Tensor

from visiontasks.data.augmentation.resizing import Resizing, Stretch, Whole, Within
from visiontasks.data.augmentation.windows import Window, show_image
from visiontasks.data.images.arrays import Pixels, to_tensor
from visiontasks.data.images.reading import Reading
from visiontasks.errors import DataError

_POLICIES = {policy.__name__: policy for policy in (Whole, Stretch, Within)}


class ShownImage(NamedTuple):
    """An image as the network sees it, without padding.

    Attributes:
        image: Its pixels.
        window: The part of the original that is shown, and the size that it has now.
    """

    image: UInt8[Tensor, "channels height width"]
    window: Window


@dataclass(frozen=True)
class EvaluationView:
    """How images are brought to the network in evaluation; nothing in it is random.

    Args:
        resizing: ``Whole``, ``Stretch`` or ``Within``.
        multiple: The height and width of a batch are padded to a multiple of this number.
        value_range: Values of the files that become 0 and 255; None for the range of their type.
        exif: Whether the EXIF orientation of files is applied.

    Example:
        >>> view = EvaluationView(Within(shorter=300, longer=500), multiple=32)
        >>> view.describe()
        {'policy': 'Within', 'shorter': 300, 'longer': 500, 'multiple': 32}
        >>> EvaluationView.create(view.describe()) == view
        True
    """

    resizing: Resizing
    multiple: int = 1
    value_range: tuple[float, float] | None = None
    exif: bool = True

    @classmethod
    def create(cls, description: Mapping[str, Any]) -> Self:
        """Create a view from its description.

        Args:
            description: What :meth:`describe` returns.

        Raises:
            DataError: If it is not a description of a view.
        """
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in description.items()
        }
        policy, multiple = options.pop("policy", None), options.pop("multiple", 1)
        value_range, exif = options.pop("value_range", None), options.pop("exif", True)
        try:
            return cls(_POLICIES[policy](**options), multiple, value_range, exif)
        except (KeyError, TypeError) as error:
            message = (
                f"The evaluation view is {dict(description)}; expected a policy ({', '.join(_POLICIES)}), its "
                "arguments, the multiple of the padding, and the range of values if there is one."
            )
            raise DataError(message) from error

    def describe(self) -> dict[str, Any]:
        """Return the view in the types of JSON: the policy, its arguments, and the multiple."""
        options = self.resizing.describe() | {"multiple": self.multiple}
        options |= {} if self.value_range is None else {"value_range": self.value_range}
        options |= {} if self.exif else {"exif": False}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}

    def read(self, path: Path, channels: int) -> ShownImage:
        """Read an image file and bring it to the size in which the network sees it.

        Raises:
            UnreadableFileError: If it is missing, damaged or too large, or has another number of channels.
        """
        return self.show(Reading(channels, self.value_range, self.exif).pixels(path))

    def show(self, pixels: Pixels) -> ShownImage:
        """Bring an image to the size in which the network sees it.

        Args:
            pixels: The image, shape [H, W, C].
        """
        window = self.resizing.window(pixels.shape[0], pixels.shape[1], Random(0))
        return ShownImage(to_tensor(show_image(pixels, window)), window)
