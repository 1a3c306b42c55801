"""Detections drawn onto their images."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from visiontasks.types import DetectionPredictions
from visiontasks.visualization.annotations import draw_sample
from visiontasks.visualization.pictures import Picture, grid


def draw_detections(
    batch: NamedTuple,
    predictions: DetectionPredictions,
    class_names: Sequence[str],
    score: float = 0.5,
    side: int = 480,
    columns: int = 4,
) -> Picture:
    """Draw images twice: with their objects, and with the detections and their scores.

    Args:
        batch: The images and their objects, on the CPU.
        predictions: The detections, on the CPU.
        class_names: Names of the classes in the order of the labels.
        score: Minimum score of a detection that is drawn.
        side: Length of the longer side of each image, in pixels.
        columns: Pictures side by side, an even number.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    pictures, titles = [], []
    for index in range(len(predictions.scores)):
        sample = type(batch)._make(field[index : index + 1] for field in batch)
        likely = predictions.scores[index] >= score
        shown = sample._replace(
            boxes=predictions.boxes[index : index + 1, likely],
            labels=predictions.labels[index : index + 1, likely],
            ignore=torch.zeros(1, int(likely.sum()), dtype=torch.bool),
        )
        scores = predictions.scores[index, likely].tolist()
        for name, drawn, known in (("annotated", sample, None), ("found", shown, scores)):
            picture, title = draw_sample(drawn, class_names, side, known)
            pictures.append(picture)
            titles.append(f"{title} {name}")
    return grid(pictures, titles, columns=columns, side=side)
