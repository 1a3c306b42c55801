"""Annotations drawn onto their images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.visualization.colors import IGNORED_COLOR, class_color
from visiontasks.visualization.masks import blend, draw_legend, one_layer
from visiontasks.visualization.pictures import PAPER, Picture, from_pillow, to_pillow


def draw_sample(sample: NamedTuple, class_names: Sequence[str], side: int = 320) -> tuple[Picture, str]:
    """Draw the annotations of a sample onto its image: boxes with their classes, masks in colour, a title.

    Args:
        sample: A batch of one image, of any task; padding is left out.
        class_names: Names of the classes in the order of the labels; for masks, of the values.
        side: Side in pixels of the square into which the image is scaled and placed.

    Returns:
        uint8 RGB, shape [3, side, side], and the title: classes of the image, or of its mask.
    """
    fields: dict[str, Tensor] = sample._asdict()
    height, width = fields["sizes"][0].tolist() if "sizes" in fields else fields["images"].shape[-2:]
    image = fields["images"][0, :, :height, :width]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = Image.Resampling.NEAREST if factor > 2 else Image.Resampling.BILINEAR
    picture = to_pillow(image).resize(size, method)
    labels = fields["labels"][0] if "labels" in fields else torch.zeros(0)
    title = ""
    if "masks" in fields:
        mask = one_layer(fields["masks"][0])[:height, :width]
        picture = blend(picture, mask, class_names)
        present = [value for value in torch.unique(mask).tolist() if value < len(class_names)]
        title = ", ".join(class_names[value] for value in present)
        draw_legend(picture, [(class_names[value], class_color(value)) for value in present])
    elif "boxes" in fields:
        boxes, labels = fields["boxes"].reshape(-1, 4), labels.reshape(-1)
        ignore = fields["ignore"][0].tolist() if "ignore" in fields else [False] * len(boxes)
        for box, label, ignored in zip((boxes * factor).tolist(), labels.tolist(), ignore, strict=True):
            if label >= 0:
                name = class_names[label] + (" (ignored)" if ignored else "")
                draw_box(picture, box, name, IGNORED_COLOR if ignored else class_color(label))
        count = int((labels >= 0).sum())
        title = f"{count} object{'' if count == 1 else 's'}"
    elif labels.ndim:
        title = ", ".join(class_names[label] for label in torch.nonzero(labels).flatten().tolist()) or "no class"
    elif 0 <= int(labels) < len(class_names):
        title = class_names[int(labels)]
    canvas = Image.new("RGB", (side, side), PAPER)
    canvas.paste(picture)
    return from_pillow(canvas), title


def draw_box(
    picture: Image.Image, box: Sequence[float], name: str, color: tuple[int, int, int], height: int = 11
) -> None:
    """Draw a box onto a picture, with its name above the upper left corner.

    Args:
        picture: The picture, which is changed in place.
        box: xyxy in pixels of the picture.
        name: Written on a background of the same colour; empty for none.
        color: RGB.
        height: Height of the letters in pixels; lines are a fifth as wide.
    """
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(height)
    draw.rectangle(tuple(box), outline=color, width=height // 5)
    if not name:
        return
    width = draw.textlength(name, font=font)
    line = height + 2
    left, top = min(box[0], max(0, picture.width - width - 4)), max(0, box[1] - line)
    draw.rectangle((left, top, left + width + 3, top + line), fill=color)
    draw.text((left + 2, top), name, fill=PAPER, font=font)
