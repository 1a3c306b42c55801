"""Resizing policies: each chooses the window of an image that a batch shows, and the size to which it is resized."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int64, UInt8

from visiontasks.data.augmentation.windows import Window
from visiontasks.errors import ArgumentError
from visiontasks.sizes import height_and_width


class Resizing(ABC):
    """How images are brought to the size of a batch."""

    keeps_shape: ClassVar[bool] = False
    """Whether images keep their aspect ratio, so that a batch is padded."""

    @abstractmethod
    def window(self, height: int, width: int, random: Random) -> Window:
        """Choose the part of an image.

        Args:
            height: Height of the image.
            width: Width of the image.
            random: Random generator.
        """

    def window_of_mask(self, mask: UInt8[np.ndarray, "height width"], random: Random) -> Window:
        """Choose the part of an image whose mask is known; by default the mask makes no difference.

        Args:
            mask: Class of each pixel.
            random: Random generator.
        """
        return self.window(mask.shape[0], mask.shape[1], random)

    def batch_sizes(self, sizes: Int64[np.ndarray, "images 2"], multiple: int) -> Int64[np.ndarray, "images 2"]:
        """Return the height and width that images have in a batch in evaluation, where nothing is random.

        Args:
            sizes: Height and width of each image, at least 1.
            multiple: The height and width of a batch are padded to a multiple of this number.
        """
        shown = [self.window(height, width, Random(0)).size for height, width in sizes.tolist()]
        padded: Int64[np.ndarray, "images 2"] = -(-np.array(shown, np.int64).reshape(-1, 2) // multiple) * multiple
        return padded

    def describe(self) -> dict[str, Any]:
        """Return the name and the arguments of the policy in plain types."""
        return {"policy": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]  # all are dataclasses


@dataclass(frozen=True)
class Whole(Resizing):
    """Whole images, not resized.

    Args:
        scale: Factor of the height and width at which the network sees them: the task resizes them itself, so that its
            outputs have the size of the image.
    """

    keeps_shape = True
    scale: float = 1.0

    def describe(self) -> dict[str, Any]:
        """Return the name of the policy, and the scale if there is one."""
        return {"policy": "Whole"} | ({} if self.scale == 1 else {"scale": self.scale})

    def window(self, height: int, width: int, random: Random) -> Window:
        """Return the whole image."""
        return Window(0, 0, height, width, (height, width))


@dataclass(frozen=True)
class Stretch(Resizing):
    """Whole images, resized to one size regardless of their aspect ratio.

    Args:
        size: Height and width in pixels.
    """

    size: tuple[int, int]

    def __post_init__(self) -> None:
        height_and_width("size", self.size)

    def window(self, height: int, width: int, random: Random) -> Window:
        """Return the whole image, stretched."""
        return Window(0, 0, height, width, self.size)


@dataclass(frozen=True)
class RandomResizedCrop(Resizing):
    """A random part of the image, resized to one size (Szegedy et al. 2015, Going deeper with convolutions, section 6).

    Args:
        size: Height and width in pixels.
        area: Minimum and maximum fraction of the image's area.
        ratio: Minimum and maximum aspect ratio (width over height) of the part.
    """

    size: tuple[int, int]
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        height_and_width("size", self.size)
        check_bounds("area", self.area, 1)
        check_bounds("ratio", self.ratio)

    def window(self, height: int, width: int, random: Random) -> Window:
        """Draw up to ten times; if no part fits, take the centre with the nearest allowed ratio, like torchvision."""
        for _ in range(10):
            pixels = height * width * random.uniform(*self.area)
            ratio = math.exp(random.uniform(math.log(self.ratio[0]), math.log(self.ratio[1])))
            columns, rows = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
            if 0 < columns <= width and 0 < rows <= height:
                return Window(
                    random.randint(0, height - rows), random.randint(0, width - columns), rows, columns, self.size
                )
        rows = min(height, max(1, round(width / self.ratio[0])))
        columns = min(width, max(1, round(height * self.ratio[1])))
        return Window((height - rows) // 2, (width - columns) // 2, rows, columns, self.size)


@dataclass(frozen=True)
class Within(Resizing):
    """Whole images in their aspect ratio, as large as two bounds allow (Ren et al. 2015, Faster R-CNN, section 3.3).

    Args:
        shorter: Length of the shorter side in pixels, or several lengths from which one is drawn for each image.
        longer: Maximum length of the longer side in pixels; if it applies, the shorter side is less than ``shorter``.

    Example:
        >>> Within(shorter=800, longer=1333).window(480, 640, Random(0)).size
        (800, 1067)
        >>> Within(shorter=800, longer=1333).window(300, 1000, Random(0)).size
        (400, 1333)
    """

    keeps_shape = True
    shorter: int | Sequence[int] = 800
    longer: int = 1333

    def __post_init__(self) -> None:
        if not self._choices() or min(*self._choices(), self.longer) < 1:
            message = f"shorter is {self.shorter} and longer {self.longer}; expected sides in pixels, at least 1."
            raise ArgumentError(message)

    def window(self, height: int, width: int, random: Random) -> Window:
        """Return the whole image, resized."""
        choices = self._choices()
        shorter = choices[0] if len(choices) == 1 else random.choice(choices)
        factor = min(shorter / min(height, width), self.longer / max(height, width))
        size = (max(1, round(height * factor)), max(1, round(width * factor)))
        return Window(0, 0, height, width, size)

    def _choices(self) -> Sequence[int]:
        return [self.shorter] if isinstance(self.shorter, int) else self.shorter


@dataclass(frozen=True)
class RandomScaledCrop(Resizing):
    """A random crop of fixed size from the image at a random scale (Chen et al. 2017, DeepLab, section 4.1).

    A scaled image that is smaller than the crop is placed at random, and the rest of the crop is ignored.

    Args:
        size: Height and width of the crop in pixels.
        scale: Minimum and maximum scale.
    """

    size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)

    def __post_init__(self) -> None:
        height_and_width("size", self.size)
        check_bounds("scale", self.scale)

    def window(self, height: int, width: int, random: Random) -> Window:
        """Draw the scale, then the position."""
        scale = math.exp(random.uniform(math.log(self.scale[0]), math.log(self.scale[1])))
        rows, columns = (max(1, round(side / scale)) for side in self.size)
        return self.place(height, width, rows, columns, random)

    def place(self, height: int, width: int, rows: int, columns: int, random: Random) -> Window:
        """Draw the position of a crop of some rows and columns of an image."""
        top, left = (random.randint(min(0, free), max(0, free)) for free in (height - rows, width - columns))
        return Window(top, left, rows, columns, self.size)


def check_bounds(name: str, values: tuple[float, float], largest: float = math.inf) -> None:
    """Check that two numbers are the least and the largest of something.

    Args:
        name: Name of the argument.
        values: The numbers.
        largest: The most that they may be.

    Raises:
        ArgumentError: If they are not above 0, or in the other order.
    """
    if not 0 < values[0] <= values[1] <= largest:
        message = f"{name} is {values}; expected the least and the largest value, above 0{_up_to(largest)}."
        raise ArgumentError(message)


def _up_to(largest: float) -> str:
    return "" if largest == math.inf else f" and up to {largest:g}"
