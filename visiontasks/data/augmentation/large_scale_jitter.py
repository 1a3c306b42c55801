"""Large-scale jitter: images far smaller and far larger than they are evaluated."""

from dataclasses import dataclass
from random import Random

from visiontasks.data.augmentation.resizing import Within, check_bounds
from visiontasks.data.augmentation.windows import Window


@dataclass(frozen=True)
class LargeScaleJitter(Within):
    """Images resized by a random factor, of which at most as much is shown as fits into their size without it.

    Large-scale jittering of Ghiasi et al. 2021, Simple copy-paste is a strong data augmentation method for instance
    segmentation, section 3. A crop of an enlarged image lies anywhere in it. What an image that shrinks leaves free is
    the padding of its batch, which detectors do not look at, so that a batch of small images costs little.

    Args:
        shorter: Length of the shorter side in pixels for a factor of 1.
        longer: Maximum length of the longer side in pixels for a factor of 1.
        scale: Least and largest factor; each is equally likely.

    Example:
        >>> LargeScaleJitter(800, 1333, scale=(0.5, 0.5)).window(480, 640, Random(0))
        Window(top=0, left=0, height=480, width=640, size=(400, 534))
        >>> LargeScaleJitter(800, 1333, scale=(2.0, 2.0)).window(480, 640, Random(0))[2:]
        (240, 320, (800, 1067))
    """

    scale: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds("scale", self.scale)

    def window(self, height: int, width: int, random: Random) -> Window:
        """Draw the factor, and the place of the crop if the image grows."""
        size = super().window(height, width, random).size
        factor = random.uniform(*self.scale)
        if factor <= 1:
            return Window(0, 0, height, width, (max(1, round(size[0] * factor)), max(1, round(size[1] * factor))))
        rows, columns = max(1, round(height / factor)), max(1, round(width / factor))
        return Window(random.randint(0, height - rows), random.randint(0, width - columns), rows, columns, size)
