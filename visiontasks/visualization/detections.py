"""Detections drawn onto their images."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from visiontasks.detection.mask_pasting import pasted_masks
from visiontasks.instance_masks import pack_parts
from visiontasks.types import DetectionPredictions, InstancePredictions
from visiontasks.visualization.annotations import draw_sample
from visiontasks.visualization.pictures import Picture, grid


def draw_detections(
    batch: NamedTuple,
    predictions: DetectionPredictions | InstancePredictions,
    class_names: Sequence[str],
    score: float = 0.5,
    side: int = 480,
    columns: int = 4,
) -> Picture:
    """Draw images twice: with their objects, and with the detections and their scores.

    Where there are masks, each object and each detection has a colour of its own; otherwise each class has one.

    Args:
        batch: The images and their objects, on the CPU.
        predictions: The detections, on the CPU; with masks for a batch that has masks.
        class_names: Names of the classes in the order of the labels.
        score: Minimum score of a detection that is drawn.
        side: Length of the longer side of each image, in pixels.
        columns: Pictures side by side, an even number.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    pictures, titles = [], []
    masks = pasted_masks(predictions, batch, score) if hasattr(predictions, "masks") else None
    for index in range(len(predictions.scores)):
        sample = type(batch)._make(field[index : index + 1] for field in batch)
        likely = (predictions.labels[index] >= 0) & (predictions.scores[index] >= score)
        shown: Any = sample._replace(
            boxes=predictions.boxes[index : index + 1, likely],
            labels=predictions.labels[index : index + 1, likely],
            ignore=torch.zeros(1, int(likely.sum()), dtype=torch.bool),
        )
        if masks is not None:
            parts = list(next(masks))
            bits, windows = pack_parts([mask for _, mask in parts], [window[:2] for window, _ in parts])
            shown = shown._replace(mask_bits=torch.from_numpy(bits)[None], mask_windows=torch.from_numpy(windows)[None])
        scores = predictions.scores[index, likely].tolist()
        for name, drawn, known in (("annotated", sample, None), ("found", shown, scores)):
            picture, title = draw_sample(drawn, class_names, side, known)
            pictures.append(picture)
            titles.append(f"{title} {name}")
    return grid(pictures, titles, columns=columns, side=side)
