"""Annotations drawn onto their images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from visiontasks.instance_masks import unpack_masks
from visiontasks.visualization.captions import draw_boxes
from visiontasks.visualization.colors import IGNORED_COLOR, class_color
from visiontasks.visualization.instances import paint_instances
from visiontasks.visualization.masks import blend, one_layer
from visiontasks.visualization.pictures import Picture, from_pillow, resized


def draw_sample(
    sample: NamedTuple, class_names: Sequence[str], side: int = 320, scores: Sequence[float] | None = None
) -> tuple[Picture, str]:
    """Draw the annotations of a sample onto its image: boxes with their classes, masks in colour, a title.

    Classes have a colour each in masks of classes and for boxes; objects that have masks have one each.

    Args:
        sample: A batch of one image, of any task; padding is left out.
        class_names: Names of the classes in the order of the labels; for masks, of the values.
        side: Length in pixels of the longer side of the picture.
        scores: Score of each box, which is written beside its class.

    Returns:
        uint8 RGB, shape [3, H, W], and the title: classes of the image, or of its mask.
    """
    fields: dict[str, Tensor] = sample._asdict()
    height, width = fields["sizes"][0].tolist() if "sizes" in fields else fields["images"].shape[-2:]
    image = fields["images"][0, :, :height, :width]
    factor = side / max(height, width)
    picture = resized(image, (max(1, round(width * factor)), max(1, round(height * factor))))
    labels = fields["labels"][0] if "labels" in fields else torch.zeros(0)
    title = ""
    if "masks" in fields:
        mask = one_layer(fields["masks"][0])[:height, :width]
        picture = blend(picture, mask, class_names)
        present = [value for value in torch.unique(mask).tolist() if value < len(class_names)]
        title = ", ".join(class_names[value] for value in present)
    elif "boxes" in fields:
        boxes, labels = fields["boxes"].reshape(-1, 4) * factor, labels.reshape(-1)
        ignore = fields["ignore"][0].tolist() if "ignore" in fields else [False] * len(boxes)
        of_instances = [IGNORED_COLOR if ignored else class_color(number) for number, ignored in enumerate(ignore)]
        if "mask_bits" in fields:
            windows = fields["mask_windows"][0].numpy()
            masks = zip(windows.tolist(), unpack_masks(fields["mask_bits"][0].numpy(), windows), strict=True)
            # The first ones are on top, as their names are.
            size = fields["mask_sizes"][0].tolist()
            picture = paint_instances(picture, reversed(list(masks)), size, of_instances[::-1])
        shown = [index for index, label in enumerate(labels.tolist()) if label >= 0]
        names, colors = [], []
        for index in shown:
            label, score = int(labels[index]), "" if scores is None else f" {scores[index]:.2f}"
            names.append(class_names[label] + score + (" (ignored)" if ignore[index] else ""))
            of_class = IGNORED_COLOR if ignore[index] else class_color(label)
            colors.append(of_instances[index] if "mask_bits" in fields else of_class)
        draw_boxes(picture, boxes[shown].tolist(), names, colors, _LETTERS)
        title = f"{len(shown)} object{'' if len(shown) == 1 else 's'}"
    elif labels.ndim:
        title = ", ".join(class_names[label] for label in torch.nonzero(labels).flatten().tolist()) or "no class"
    elif 0 <= int(labels) < len(class_names):
        title = class_names[int(labels)]
    return from_pillow(picture), title


_LETTERS = 12
