"""Average precision and recall as COCO defines them, on flat arrays.

The definition is that of ``pycocotools.cocoeval``, and tests check that the results are equal. All images and classes
are processed together: first every sufficiently overlapping pair of a detection and an object of the same image and
class is listed; then the detections of rank 0 in all images and classes choose an object, then those of rank 1, and so
on.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from visiontasks.metrics.detection_records import Detections, TrueObjects

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)
AREAS: dict[str, tuple[float, float]] = {
    "all": (0, 1e10),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
"""Minimum and maximum area of the objects counted in each size range."""


class CocoScores(NamedTuple):
    """Precision and recall; NaN where a class has no object of that size.

    Attributes:
        precision: Precision at the recalls 0, 0.01, ... 1, with the last of ``limits`` as the number of detections.
        recall: Maximum recall for each limit.
        limits: Maximum numbers of detections of a class per image.
    """

    precision: Float64[np.ndarray, "thresholds recalls classes areas"]
    recall: Float64[np.ndarray, "thresholds classes areas limits"]
    limits: tuple[int, ...]

    def summary(self) -> dict[str, float]:
        """Return the twelve metrics of COCO; NaN if no class has an object of that size."""
        names = list(AREAS)
        values = {
            "map": self.precision[..., 0],
            "map_50": self.precision[0, ..., 0],
            "map_75": self.precision[5, ..., 0],
        }
        values |= {f"map_{name}": self.precision[..., names.index(name)] for name in names[1:]}
        values |= {f"mar_{limit}": self.recall[..., 0, index] for index, limit in enumerate(self.limits)}
        values |= {f"mar_{name}": self.recall[..., names.index(name), -1] for name in names[1:]}
        return {name: _mean(value) for name, value in values.items()}

    def class_map(self) -> Float64[np.ndarray, " classes"]:
        """Return the average precision of each class; NaN for a class without objects."""
        classes = self.precision.shape[2]
        return np.array([_mean(self.precision[:, :, index, 0]) for index in range(classes)])


def coco_scores(
    detections: Detections, objects: TrueObjects, num_classes: int, limits: Sequence[int] = (1, 10, 100)
) -> CocoScores:
    """Compute precision and recall of detections.

    An ignored object is a crowd: it may be matched any number of times, and the share of the detection that lies in it
    takes the place of the IoU. Detections of equal score keep the order of images and of the input.

    Args:
        detections: The detections.
        objects: The objects.
        num_classes: Number of classes.
        limits: Maximum numbers of detections of a class per image, ascending.
    """
    objects, detections, ranks = _sorted(objects, detections, num_classes, limits[-1])
    bounds = np.array(list(AREAS.values()))
    # Whether an object is excluded from each range of areas [areas, objects].
    left_out = (objects.areas < bounds[:, :1]) | (objects.areas > bounds[:, 1:]) | objects.ignore
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    areas = sides[:, 0] * sides[:, 1]
    outside = (areas < bounds[:, :1]) | (areas > bounds[:, 1:])
    near, hits, skipped = _match(detections, objects, ranks, left_out, num_classes)
    precision = np.full((len(THRESHOLDS), len(RECALLS), num_classes, len(AREAS)), np.nan)
    recall = np.full((len(THRESHOLDS), num_classes, len(AREAS), len(limits)), np.nan)
    # By class, then in descending order of score; detections are sorted by image and rank already.
    order = np.lexsort((-detections.scores, detections.labels))
    starts = np.searchsorted(detections.labels[order], np.arange(num_classes + 1))
    present = [np.bincount(objects.labels[~out], minlength=num_classes) for out in left_out]
    where = np.full(len(ranks), -1)
    where[near] = np.arange(len(near))
    for label in range(num_classes):
        chosen = order[starts[label] : starts[label + 1]]
        pairs, rank = where[chosen], ranks[chosen]
        paired = pairs >= 0
        for area, counts in enumerate(present):
            if not counts[label]:
                continue
            hit = np.zeros((len(THRESHOLDS), len(chosen)), bool)
            skip = np.repeat(outside[area, chosen][None], len(THRESHOLDS), 0)
            hit[:, paired] = hits[area][:, pairs[paired]]
            # A matched detection counts in the range of its object, whatever its own size.
            matched = skipped[area][:, pairs[paired]]
            skip[:, paired] = np.where(hit[:, paired], False, matched | skip[:, paired])
            for index, limit in enumerate(limits):
                recall[:, label, area, index] = hit[:, rank < limit].sum(1) / counts[label]
            precision[:, :, label, area] = _interpolated(hit, skip, int(counts[label]))
    return CocoScores(precision, recall, tuple(limits))


def coco_hits(
    detections: Detections, objects: TrueObjects, num_classes: int
) -> tuple[Detections, Bool[np.ndarray, " kept"], Bool[np.ndarray, " kept"]]:
    """Determine which of the best 100 detections of a class per image are matched with an object at IoU 0.5.

    Args:
        detections: The detections.
        objects: The objects.
        num_classes: Number of classes.

    Returns:
        The detections by image and class, in descending order of score; whether each is matched with an object; and
        whether with an ignored one.
    """
    objects, detections, ranks = _sorted(objects, detections, num_classes, 100)
    near, hits, skipped = _match(detections, objects, ranks, objects.ignore[None], num_classes)
    hit, skip = np.zeros(len(ranks), bool), np.zeros(len(ranks), bool)
    hit[near], skip[near] = hits[0][0], skipped[0][0]
    return detections, hit, skip


def _sorted(
    objects: TrueObjects, detections: Detections, classes: int, limit: int
) -> tuple[TrueObjects, Detections, Int64[np.ndarray, " kept"]]:
    """Sort objects by image and class, detections by image, class and score; drop detections beyond the limit."""
    order = np.argsort(objects.images * classes + objects.labels, kind="stable")
    objects = TrueObjects(*(field[order] for field in objects))
    group = detections.images * classes + detections.labels
    order = np.lexsort((-detections.scores, group))
    group = group[order]
    first = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]) if len(group) else np.zeros(0, np.int64)
    ranks = np.arange(len(group)) - np.repeat(first, np.diff(np.r_[first, len(group)]))
    kept = ranks < limit
    return objects, Detections(*(field[order][kept] for field in detections)), ranks[kept]


def _match(
    detections: Detections,
    objects: TrueObjects,
    ranks: Int64[np.ndarray, " detections"],
    left_out: Bool[np.ndarray, "areas objects"],
    classes: int,
) -> tuple[Int64[np.ndarray, " found"], list[np.ndarray], list[np.ndarray]]:
    """Match every detection with at most one object.

    Returns:
        The detections that overlap enough with any object, and for each range of areas whether they are matched with a
        counted object, and whether with an excluded one [thresholds, near].
    """
    pair_detection, pair_object, overlap = _pairs(detections, objects, classes)
    near, detection = np.unique(pair_detection, return_inverse=True)
    rank = ranks[pair_detection]
    order = np.argsort(rank, kind="stable")
    steps = np.searchsorted(rank[order], np.arange(rank.max() + 2)) if len(rank) else np.zeros(1, np.int64)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    hits, skipped = [], []
    for out in left_out:
        chosen = np.full((len(THRESHOLDS), len(near)), -1)
        taken = np.zeros((len(THRESHOLDS), len(objects.labels)), bool)
        for start, end in pairwise(steps.tolist()):
            pairs = order[start:end]
            if not len(pairs):
                continue
            owner, target = detection[pairs], pair_object[pairs]
            free = (overlap[pairs] >= least) & ~(taken[:, target] & ~objects.ignore[target])
            # Counted objects take precedence over excluded ones, then the highest overlap wins; ties go to the last.
            value = np.where(free, overlap[pairs] + 2.0 * ~out[target], -1.0)
            first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]])
            best = np.maximum.reduceat(value, first, axis=1)
            lengths = np.diff(np.r_[first, len(owner)])
            row, column = np.nonzero((value == np.repeat(best, lengths, axis=1)) & free)
            chosen[row, owner[column]] = target[column]
            each = owner[first]
            row, column = np.nonzero(chosen[:, each] >= 0)
            taken[row, chosen[row, each[column]]] = True
        matched = chosen >= 0
        ignored = out[chosen] if len(out) else np.zeros_like(matched)
        hits.append(matched & ~ignored)
        skipped.append(matched & ignored)
    return near, hits, skipped


def _pairs(
    detections: Detections, objects: TrueObjects, classes: int
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Float64[np.ndarray, " pairs"]]:
    """List pairs of detections and objects of one image and class above the lowest threshold, with their overlaps."""
    groups = objects.images * classes + objects.labels
    group = detections.images * classes + detections.labels
    low, high = np.searchsorted(groups, group, "left"), np.searchsorted(groups, group, "right")
    count = high - low
    detection = np.repeat(np.arange(len(group)), count)
    target = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
    boxes, others = _from_sides(detections.boxes), _from_sides(objects.boxes)
    left, right = boxes[detection], others[target]
    shared = np.minimum(left[:, 2:4], right[:, 2:4]) - np.maximum(left[:, :2], right[:, :2])
    inside = (shared > 0).all(1)
    detection, target, shared, left, right = (value[inside] for value in (detection, target, shared, left, right))
    intersection = shared[:, 0] * shared[:, 1]
    area, other = left[:, 4] * left[:, 5], right[:, 4] * right[:, 5]
    overlap = intersection / np.where(objects.ignore[target], area, area + other - intersection)
    enough = overlap >= THRESHOLDS[0]
    return detection[enough], target[enough], overlap[enough]


def _from_sides(boxes: Float64[np.ndarray, "boxes 4"]) -> Float64[np.ndarray, "boxes 6"]:
    """Return corners rounded as in pycocotools, which stores sides and adds them to corners, and the sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([boxes[:, :2], boxes[:, :2] + sides, sides], axis=1)


def _interpolated(
    hit: Bool[np.ndarray, "thresholds detections"], skip: Bool[np.ndarray, "thresholds detections"], count: int
) -> Float64[np.ndarray, "thresholds recalls"]:
    """Compute the maximum precision at or above each recall; 0 if the recall is not reached."""
    right = np.cumsum(hit, axis=1, dtype=np.float64)
    wrong = np.cumsum(~hit & ~skip, axis=1, dtype=np.float64)
    precision = right / (wrong + right + np.spacing(1))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    at_recalls = np.zeros((len(THRESHOLDS), len(RECALLS)))
    for row, recall in enumerate(right / count):
        places = np.searchsorted(recall, RECALLS, side="left")
        reached = places < hit.shape[1]
        at_recalls[row, reached] = precision[row, places[reached]]
    return at_recalls


def _mean(values: Float64[np.ndarray, "..."]) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")
