"""The transform of colours, as one of Albumentations."""

import albumentations as A
import cv2
import numpy as np

from visiontasks.data.augmentation.color import color_matrix
from visiontasks.data.images.arrays import Pixels
from visiontasks.errors import ArgumentError


class ColorMatrix(A.ImageOnlyTransform):  # type: ignore[misc]  # Albumentations' base classes have no types
    """Change brightness, contrast, saturation and hue in one pass over the pixels.

    See :func:`~visiontasks.data.augmentation.color.color_matrix`. For images that are not RGB, only
    brightness and contrast change.

    Args:
        brightness: Maximum change of the brightness factor: 0.2 for 0.8 to 1.2.
        contrast: Maximum change of the contrast factor.
        saturation: Maximum change of the saturation factor.
        hue: Maximum rotation of the hue in either direction, as a fraction of a full turn, 0 to 0.5.
        p: Probability that an image is changed.
    """

    def __init__(
        self, brightness: float = 0.2, contrast: float = 0.2, saturation: float = 0.2, hue: float = 0.0, p: float = 0.5
    ) -> None:
        super().__init__(p=p)
        if not all(0 <= value <= 1 for value in (brightness, contrast, saturation, 2 * hue)):
            message = (
                f"brightness, contrast, saturation and hue are {brightness}, {contrast}, {saturation} and {hue}; "
                "expected 0 to 1, and hue up to 0.5."
            )
            raise ArgumentError(message)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        """Return the names of the arguments, for the description of a pipeline."""
        return "brightness", "contrast", "saturation", "hue"

    def get_params(self) -> dict[str, float]:
        """Draw the factors."""
        factors = {
            name: self.py_random.uniform(1 - getattr(self, name), 1 + getattr(self, name))
            for name in ("brightness", "contrast", "saturation")
        }
        return {**factors, "hue": self.py_random.uniform(-self.hue, self.hue)}

    def apply(
        self, img: Pixels, brightness: float, contrast: float, saturation: float, hue: float, **_: object
    ) -> Pixels:
        """Change an image."""
        if img.shape[-1] == 3:
            mean = np.array(cv2.mean(img)[:3])
            return cv2.transform(img, color_matrix(brightness, contrast, saturation, hue, mean))
        added = (1 - contrast) * brightness * float(img.mean())
        values = np.arange(256) * (contrast * brightness) + added
        return cv2.LUT(img, np.rint(values).clip(0, 255).astype(np.uint8)).reshape(img.shape)
