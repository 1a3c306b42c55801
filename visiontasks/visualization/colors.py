"""The colours of classes."""

from colorsys import hsv_to_rgb

IGNORED_COLOR = (150, 150, 150)


def class_color(label: int) -> tuple[int, int, int]:
    """Choose the colour of a class: hues a golden section apart, so that no two of few are alike."""
    red, green, blue = hsv_to_rgb((0.05 + label * 0.618034) % 1, 0.85, 0.95 if label % 2 == 0 else 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)
