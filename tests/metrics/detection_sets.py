"""Random detections and objects of a data set, and what they are scored by."""

from typing import NamedTuple

import numpy as np
import torch

from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.types import DetectionBatch, DetectionPredictions


class Setting(NamedTuple):
    """Objects and detections of so many classes."""

    images: int
    classes: int
    objects: TrueObjects
    detections: Detections


def random_setting(seed: int) -> Setting:
    """Images with and without objects and detections, crowds, equal scores, boxes that are the same or nearly so."""
    generator = np.random.default_rng(seed)
    images, classes = int(generator.integers(1, 8)), int(generator.integers(1, 5))
    found: list[list[np.ndarray]] = []
    boxes, owners = [], []
    for image in range(images):
        count = int(generator.integers(0, 6)) * int(generator.random() < 0.8)
        corner = generator.integers(0, 60, (count, 2)) * 2.0
        boxes.append(np.concatenate([corner, corner + np.exp(generator.uniform(1.5, 5, (count, 2))).round()], 1))
        owners += [image] * count
    own = np.concatenate(boxes)
    labels = generator.integers(0, classes, len(own))
    ignore = generator.random(len(own)) < 0.25
    areas = (own[:, 2:] - own[:, :2]).prod(1) * generator.uniform(0.4, 1, len(own))
    objects = TrueObjects(np.array(owners, np.int64), own, labels, ignore, areas)
    for image in range(images):
        if generator.random() < 0.15:
            continue
        near = own[objects.images == image]
        kinds = labels[objects.images == image]
        repeats = int(generator.integers(0, 5))
        jitter = generator.normal(0, 3, (repeats * len(near), 4)).round() * (generator.random() < 0.8)
        noise = generator.integers(0, 100, (int(generator.integers(0, 12)), 2)) * 1.0
        anywhere = np.concatenate([noise, noise + generator.integers(4, 90, noise.shape)], 1)
        shown = np.concatenate([np.repeat(near, repeats, 0) + jitter, anywhere])
        shown[:, 2:] = np.maximum(shown[:, 2:], shown[:, :2] + 1)
        kind = np.concatenate([np.repeat(kinds, repeats), generator.integers(0, classes, len(anywhere))])
        wrong = generator.random(len(kind)) < 0.2
        kind[wrong] = generator.integers(0, classes, wrong.sum())
        digits = int(generator.integers(1, 7))
        found.append([np.full(len(shown), image), shown, kind, generator.random(len(shown)).round(digits)])
    empty = [np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0)]
    detections = Detections(*(np.concatenate(parts) for parts in zip(empty, *found, strict=True)))
    return Setting(images, classes, objects, detections)


def as_batches(setting: Setting, ids: list[int], size: int = 2) -> list[tuple[DetectionPredictions, DetectionBatch]]:
    """The same as padded batches; ids need not rise."""
    batches = []
    for start in range(0, setting.images, size):
        chosen = range(start, min(start + size, setting.images))
        objects = [[field[setting.objects.images == image] for field in setting.objects] for image in chosen]
        found = [[field[setting.detections.images == image] for field in setting.detections] for image in chosen]
        most, detections = max(len(o[0]) for o in objects), max(len(d[0]) for d in found)
        n = len(chosen)
        batch = DetectionBatch(
            torch.zeros(n, 3, 1, 1, dtype=torch.uint8),
            torch.zeros(n, most, 4),
            torch.full((n, most), -1),
            torch.zeros(n, most, dtype=torch.bool),
            torch.ones(n, 2, dtype=torch.int64),
            torch.tensor([[2.0, 4.0]]).repeat(n, 1),
            torch.tensor([ids[image] for image in chosen]),
            torch.zeros(n, most),
        )
        predictions = DetectionPredictions(
            torch.zeros(n, detections, 4), torch.zeros(n, detections), torch.full((n, detections), -1)
        )
        shrunk = torch.tensor([4.0, 2, 4, 2])
        for row, (o, d) in enumerate(zip(objects, found, strict=True)):
            for field, value in zip(("boxes", "labels", "ignore", "areas"), o[1:], strict=True):
                values = torch.from_numpy(value)
                getattr(batch, field)[row, : len(value)] = (values / shrunk if field == "boxes" else values).to(
                    getattr(batch, field).dtype
                )
            predictions.boxes[row, : len(d[0])] = (torch.from_numpy(d[1]) / shrunk).float()
            predictions.labels[row, : len(d[0])] = torch.from_numpy(d[2])
            predictions.scores[row, : len(d[0])] = torch.from_numpy(d[3]).float()
        batches.append((predictions, batch))
    return batches
