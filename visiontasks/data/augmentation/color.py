"""Colour changes combined into one affine map of the channels, applied in a single pass over the image."""

import math

import numpy as np
from jaxtyping import Float32, Float64

GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in the luminance (ITU-R BT.601)."""

# Luminance, and two axes of chrominance that are 0 for grey (the YIQ of NTSC).
_TO_YIQ = np.array([GREY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def color_matrix(
    brightness: float, contrast: float, saturation: float, hue: float, mean: Float64[np.ndarray, "3"]
) -> Float32[np.ndarray, "3 4"]:
    """Combine the four changes of torchvision's ColorJitter, in this order.

    Clipping happens once, at the end. The hue is rotated in YIQ, which keeps the luminance, instead of HSV, whose
    conversion is not linear.

    Args:
        brightness: Factor; 1 changes nothing.
        contrast: Factor for the distance from the mean luminance of the image; 1 changes nothing.
        saturation: Factor for the distance from grey; 1 changes nothing, 0 gives grey.
        hue: Fraction of a full turn, -0.5 to 0.5; 0 changes nothing.
        mean: Mean of each channel of the image.

    Returns:
        A matrix for ``cv2.transform``; the last column is the offset.

    Example:
        >>> color_matrix(1, 1, 0, 0, np.zeros(3)).astype(float).round(2).tolist()[0]
        [0.3, 0.59, 0.11, 0.0]
    """
    saturate = saturation * np.eye(3) + (1 - saturation) * np.tile(GREY, (3, 1))
    cos, sin = math.cos(2 * math.pi * hue), math.sin(2 * math.pi * hue)
    turn = _FROM_YIQ @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _TO_YIQ
    # Saturation and hue leave grey unchanged, and the mean luminance that contrast adds is grey.
    added = (1 - contrast) * brightness * (GREY @ mean)
    matrix = np.empty((3, 4), np.float32)
    matrix[:, :3] = turn @ saturate * (contrast * brightness)
    matrix[:, 3] = added
    return matrix
