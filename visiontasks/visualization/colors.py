"""The colours of classes."""

from colorsys import hsv_to_rgb

IGNORED_COLOR = (150, 150, 150)


def class_color(label: int) -> tuple[int, int, int]:
    """Choose the colour of a class: hues are a golden section apart, so that a few classes have distinct colours."""
    # Hues are similar again after 8 and 13 steps, where the brightness differs.
    red, green, blue = hsv_to_rgb((0.05 + label * 0.618034) % 1, 0.85, (0.95, 0.75, 0.5)[label % 3])
    return round(255 * red), round(255 * green), round(255 * blue)
