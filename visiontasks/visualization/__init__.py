"""Pure drawing on uint8 images."""

from visiontasks.visualization.annotations import draw_sample
from visiontasks.visualization.charts import bar_chart, line_chart
from visiontasks.visualization.codes import code_map, draw_interpolation, draw_neighbours, draw_reconstructions
from visiontasks.visualization.colors import class_color
from visiontasks.visualization.confusion import draw_confusion
from visiontasks.visualization.detections import draw_detections
from visiontasks.visualization.filters import draw_activations, draw_filters, first_convolution
from visiontasks.visualization.labels import label_names
from visiontasks.visualization.localization import draw_localization
from visiontasks.visualization.masks import draw_segmentation, index_image, overlay, voc_color_map
from visiontasks.visualization.picture_files import check_picture_file, encode_picture, save_picture
from visiontasks.visualization.pictures import (
    Picture,
    draw_classification,
    from_pillow,
    grid,
    shelve,
    to_pillow,
    to_rgb,
)
from visiontasks.visualization.reliability import reliability_diagram

__all__ = [
    "Picture",
    "bar_chart",
    "check_picture_file",
    "class_color",
    "code_map",
    "draw_activations",
    "draw_classification",
    "draw_confusion",
    "draw_detections",
    "draw_filters",
    "draw_interpolation",
    "draw_localization",
    "draw_neighbours",
    "draw_reconstructions",
    "draw_sample",
    "draw_segmentation",
    "encode_picture",
    "first_convolution",
    "from_pillow",
    "grid",
    "index_image",
    "label_names",
    "line_chart",
    "overlay",
    "reliability_diagram",
    "save_picture",
    "shelve",
    "to_pillow",
    "to_rgb",
    "voc_color_map",
]
