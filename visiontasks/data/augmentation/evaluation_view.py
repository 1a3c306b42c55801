"""The evaluation view of a data set: how images are brought to the network in validation, test and prediction."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple, Self

from jaxtyping import UInt8
from torch import Tensor

from visiontasks.data.augmentation.resizing import Resizing, Stretch, Whole, Window, Within, show_image
from visiontasks.data.images.reading import Pixels, to_tensor
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

    Example:
        >>> view = EvaluationView(Within(shorter=300, longer=500), multiple=32)
        >>> view.describe()
        {'policy': 'Within', 'shorter': 300, 'longer': 500, 'multiple': 32}
        >>> EvaluationView.create(view.describe()) == view
        True
    """

    resizing: Resizing
    multiple: int = 1

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
        try:
            return cls(_POLICIES[policy](**options), multiple)
        except (KeyError, TypeError) as error:
            message = (
                f"The evaluation view is {dict(description)}; expected a policy ({', '.join(_POLICIES)}), its "
                "arguments, and the multiple of the padding."
            )
            raise DataError(message) from error

    def describe(self) -> dict[str, Any]:
        """Return the view in the types of JSON: the policy, its arguments, and the multiple."""
        options = self.resizing.describe() | {"multiple": self.multiple}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}

    def show(self, pixels: Pixels) -> ShownImage:
        """Bring an image to the size in which the network sees it.

        Args:
            pixels: The image, shape [H, W, C].
        """
        window = self.resizing.window(pixels.shape[0], pixels.shape[1], Random(0))
        return ShownImage(to_tensor(show_image(pixels, window)), window)
