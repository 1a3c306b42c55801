"""Pure drawing on uint8 images."""

from collections.abc import Mapping, Sequence
from colorsys import hsv_to_rgb
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.types import IGNORED, ClassificationBatch, ClassificationPredictions

Picture = UInt8[Tensor, "channels height width"]

_PAPER, _INK, _RIGHT, _WRONG = (255, 255, 255), (40, 40, 40), (0, 110, 60), (200, 30, 30)
_IGNORED = (150, 150, 150)
_TITLE, _MARGIN = 20, 6


def to_rgb(image: Tensor) -> Picture:
    """Bring an image of any number of channels to what can be shown.

    Args:
        image: uint8 in 0 to 255 or float in 0 to 1, shape [C, H, W]. One channel is shown grey; of more than three, the
            first three are shown.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8) if image.is_floating_point() else image
    return pixels[:1].expand(3, -1, -1) if len(pixels) < 3 else pixels[:3]


def grid(
    images: Sequence[Tensor],
    titles: Sequence[str],
    colors: Sequence[tuple[int, int, int]] | None = None,
    columns: int = 8,
) -> Picture:
    """Lay out pictures with a title each.

    Args:
        images: Images of equal size, see :func:`to_rgb`; small ones are magnified by a whole factor.
        titles: One line each, cut to the width of the image.
        colors: RGB of each title; dark grey by default.
        columns: Pictures side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    height, width = images[0].shape[-2:]
    factor = max(1, round(96 / min(height, width)))
    height, width = height * factor, width * factor
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    size = (columns * (width + _MARGIN) + _MARGIN, rows * (height + _TITLE + _MARGIN) + _MARGIN)
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(13)
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        left = _MARGIN + index % columns * (width + _MARGIN)
        top = _MARGIN + index // columns * (height + _TITLE + _MARGIN)
        while len(title) > 1 and draw.textlength(title, font=font) > width:
            title = title[:-2] + "…"
        draw.text((left, top), title, fill=_INK if colors is None else colors[index], font=font)
        tile = Image.fromarray(to_rgb(image).permute(1, 2, 0).contiguous().numpy())
        canvas.paste(tile.resize((width, height), Image.Resampling.NEAREST), (left, top + _TITLE))
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


def draw_classification(
    batch: ClassificationBatch, predictions: ClassificationPredictions, class_names: Sequence[str], columns: int = 8
) -> Picture:
    """Draw images with the predicted class and its probability: green when right, else red with the true class.

    Args:
        batch: The images and their classes.
        predictions: What was predicted of them.
        class_names: Names of the classes in the order of the labels.
        columns: Pictures side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    titles, colors = [], []
    for label, predicted, score in zip(
        batch.labels.tolist(), predictions.labels.tolist(), predictions.scores.tolist(), strict=True
    ):
        wrong = label != predicted
        titles.append(f"{class_names[predicted]} {score:.2f}" + (f" ({class_names[label]})" if wrong else ""))
        colors.append(_WRONG if wrong else _RIGHT)
    return grid(list(batch.images), titles, colors, columns)


def class_color(label: int) -> tuple[int, int, int]:
    """Choose the colour of a class: hues a golden section apart, so that no two of few are alike."""
    red, green, blue = hsv_to_rgb((0.05 + label * 0.618034) % 1, 0.85, 0.95 if label % 2 == 0 else 0.75)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_sample(sample: NamedTuple, class_names: Sequence[str], side: int = 320) -> tuple[Picture, str]:
    """Draw the annotations of a sample onto its image: boxes with their classes, masks in colour, a title.

    Args:
        sample: A batch of one image, of any task; what is padding is left out.
        class_names: Names of the classes in the order of the labels; for masks, of the values.
        side: The image is scaled to fit into a square of so many pixels, which it is placed in.

    Returns:
        uint8 RGB, shape [3, side, side], and the title: classes of the image, or of its mask.
    """
    fields: dict[str, Tensor] = sample._asdict()
    height, width = fields["sizes"][0].tolist() if "sizes" in fields else fields["images"].shape[-2:]
    image = to_rgb(fields["images"][0])[:, :height, :width]
    factor = side / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = Image.Resampling.NEAREST if factor > 2 else Image.Resampling.BILINEAR
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).resize(size, method)
    labels = fields["labels"][0] if "labels" in fields else torch.zeros(0)
    title = ""
    if "masks" in fields:
        mask = fields["masks"][0, :height, :width]
        picture = _blend_mask(picture, mask, class_names)
        present = [value for value in torch.unique(mask).tolist() if value < len(class_names)]
        title = ", ".join(class_names[value] for value in present)
        _draw_legend(picture, [(class_names[value], class_color(value)) for value in present])
    elif "boxes" in fields:
        boxes, labels = fields["boxes"].reshape(-1, 4), labels.reshape(-1)
        ignore = fields["ignore"][0].tolist() if "ignore" in fields else [False] * len(boxes)
        for box, label, ignored in zip((boxes * factor).tolist(), labels.tolist(), ignore, strict=True):
            if label >= 0:
                name = class_names[label] + (" (ignored)" if ignored else "")
                _draw_box(picture, box, name, _IGNORED if ignored else class_color(label))
        count = int((labels >= 0).sum())
        title = f"{count} object{'' if count == 1 else 's'}"
    elif labels.ndim:
        title = ", ".join(class_names[label] for label in torch.nonzero(labels).flatten().tolist()) or "no class"
    elif 0 <= int(labels) < len(class_names):
        title = class_names[int(labels)]
    canvas = Image.new("RGB", (side, side), _PAPER)
    canvas.paste(picture)
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1), title


def bar_chart(title: str, names: Sequence[str], series: Mapping[str, Sequence[float]]) -> Picture:
    """Draw counts as horizontal bars, one group of bars for each name.

    Args:
        title: What is counted.
        names: One for each group.
        series: Counts by what they are of, such as splits; each has one count for each name.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    font, small = ImageFont.load_default(13), ImageFont.load_default(10)
    bar, left, length = 12, 180, 420
    group = bar * len(series) + 6
    canvas = Image.new("RGB", (left + length + 90, 60 + group * len(names)), _PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, _MARGIN), title, fill=_INK, font=font)
    most = max((max(counts, default=0) for counts in series.values()), default=0) or 1
    place = left
    for position, name in enumerate(series):
        draw.rectangle((place, 28, place + 10, 38), fill=class_color(position))
        draw.text((place + 15, 25), name, fill=_INK, font=font)
        place += 40 + round(draw.textlength(name, font=font))
    for row, name in enumerate(names):
        top = 50 + row * group
        while len(name) > 1 and draw.textlength(name, font=font) > left - 2 * _MARGIN:
            name = name[:-2] + "…"
        draw.text((left - _MARGIN, top + (group - 6) / 2), name, fill=_INK, font=font, anchor="rm")
        for position, counts in enumerate(series.values()):
            end = left + round(length * counts[row] / most)
            y = top + position * bar
            draw.rectangle((left, y, end, y + bar - 2), fill=class_color(position))
            draw.text((end + 4, y + bar / 2), f"{counts[row]:,.0f}", fill=_INK, font=small, anchor="lm")
    return torch.from_numpy(np.array(canvas)).permute(2, 0, 1)


def _blend_mask(picture: Image.Image, mask: Tensor, class_names: Sequence[str]) -> Image.Image:
    """Colour the pixels of a mask; a background stays as it is."""
    colors = np.array([_IGNORED if value == IGNORED else class_color(value) for value in range(256)], np.uint8)
    values = np.array(Image.fromarray(mask.numpy()).resize(picture.size, Image.Resampling.NEAREST))
    plain, blended = np.array(picture), np.array(Image.blend(picture, Image.fromarray(colors[values]), 0.5))
    if "background" in class_names:
        blended = np.where((values == class_names.index("background"))[:, :, None], plain, blended)
    return Image.fromarray(blended)


def _draw_legend(picture: Image.Image, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for row, (name, color) in enumerate(entries):
        top = 2 + row * 14
        draw.rectangle((2, top, 16 + draw.textlength(name, font=font), top + 13), fill=_PAPER)
        draw.rectangle((4, top + 3, 11, top + 10), fill=color)
        draw.text((14, top), name, fill=_INK, font=font)


def _draw_box(picture: Image.Image, box: Sequence[float], name: str, color: tuple[int, int, int]) -> None:
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    draw.rectangle(tuple(box), outline=color, width=2)
    width = draw.textlength(name, font=font)
    left, top = min(box[0], max(0, picture.width - width - 4)), max(0, box[1] - 13)
    draw.rectangle((left, top, left + width + 3, top + 13), fill=color)
    draw.text((left + 2, top), name, fill=_PAPER, font=font)
