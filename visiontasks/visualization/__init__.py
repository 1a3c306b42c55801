"""Pure drawing on uint8 images."""

from visiontasks.visualization.annotations import class_color, draw_sample
from visiontasks.visualization.charts import bar_chart
from visiontasks.visualization.detections import draw_detections
from visiontasks.visualization.filters import draw_activations, draw_filters, first_convolution
from visiontasks.visualization.pictures import Picture, draw_classification, grid, to_rgb

__all__ = [
    "Picture",
    "bar_chart",
    "class_color",
    "draw_activations",
    "draw_classification",
    "draw_detections",
    "draw_filters",
    "draw_sample",
    "first_convolution",
    "grid",
    "to_rgb",
]
