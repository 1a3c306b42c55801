"""Average precision and recall as COCO defines them, on flat arrays.

The definition is that of ``pycocotools.cocoeval``, and tests check that the results are equal. All images and classes
are processed together: first every pair of a detection and an object of the same image and class whose boxes, or
masks, overlap enough is listed; then the detections of rank 0 in all images and classes choose an object, then those of
rank 1, and so on.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.overlaps import LEAST, Overlaps, box_overlaps

THRESHOLDS = np.linspace(LEAST, 0.95, 10)
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
    detections: Detections,
    objects: TrueObjects,
    num_classes: int,
    limits: Sequence[int] = (1, 10, 100),
    overlaps: Overlaps | None = None,
) -> CocoScores:
    """Compute precision and recall of detections.

    An ignored object is a crowd: it may be matched any number of times, and the share of the detection that lies in it
    takes the place of the IoU. Detections of equal score keep the order of images and of the input.

    Args:
        detections: The detections.
        objects: The objects.
        num_classes: Number of classes.
        limits: Maximum numbers of detections of a class per image, ascending.
        overlaps: How much of a detection and an object is shared, and areas of detections; by default of their boxes.
    """
    order, ranks, by_score = _ranked(detections, limits[-1])
    pairs = _pairs(overlaps or box_overlaps(detections, objects), order)
    bounds = np.array(list(AREAS.values()))
    # Whether an object is excluded from each range of areas [areas, objects].
    left_out = (objects.areas < bounds[:, :1]) | (objects.areas > bounds[:, 1:]) | objects.ignore
    outside = (pairs.areas < bounds[:, :1]) | (pairs.areas > bounds[:, 1:])
    near, hits, skipped = _match(pairs, ranks, objects.ignore, left_out)
    starts = np.searchsorted(detections.labels[order[by_score]], np.arange(num_classes + 1))
    precision = np.full((len(THRESHOLDS), len(RECALLS), num_classes, len(AREAS)), np.nan)
    recall = np.full((len(THRESHOLDS), num_classes, len(AREAS), len(limits)), np.nan)
    where = np.full(len(ranks), -1)
    where[near] = np.arange(len(near))
    where = where[by_score]
    (places,) = np.nonzero(where >= 0)
    counted, ranks_of_near = ~outside[:, by_score], ranks[near][where[places]]
    hits, skipped = ([of_area[:, where[places]] for of_area in matches] for matches in (hits, skipped))
    starts_of_near = np.searchsorted(places, starts)
    for area, out in enumerate(left_out):
        present = np.bincount(objects.labels[~out], minlength=num_classes)
        for label in np.flatnonzero(present).tolist():
            own, of_near = slice(*starts[label : label + 2]), slice(*starts_of_near[label : label + 2])
            hit, rank = hits[area][:, of_near], ranks_of_near[of_near]
            for index, limit in enumerate(limits):
                recall[:, label, area, index] = hit[:, rank < limit].sum(1) / present[label]
            counts, place = counted[area, own], places[of_near] - starts[label]
            # A matched detection counts in the range of its object, whatever its own size.
            wrong = ~hit & ~skipped[area][:, of_near] & counts[place]
            # Detections before each that is near an object, which are not near one themselves.
            alone = np.cumsum(counts)[place] - np.cumsum(counts[place])
            precision[:, :, label, area] = _interpolated(hit, wrong, alone, int(present[label]))
    return CocoScores(precision, recall, tuple(limits))


def coco_hits(
    detections: Detections, objects: TrueObjects, num_classes: int, overlaps: Overlaps | None = None
) -> tuple[Detections, Bool[np.ndarray, " kept"], Bool[np.ndarray, " kept"]]:
    """Determine which of the best 100 detections of a class per image are matched with an object at IoU 0.5.

    Args:
        detections: The detections.
        objects: The objects.
        num_classes: Number of classes.
        overlaps: See :func:`coco_scores`.

    Returns:
        The detections by image and class, in descending order of score; whether each is matched with an object; and
        whether with an ignored one.
    """
    order, ranks, _ = _ranked(detections, 100)
    pairs = _pairs(overlaps or box_overlaps(detections, objects), order)
    near, hits, skipped = _match(pairs, ranks, objects.ignore, objects.ignore[None])
    hit, skip = np.zeros(len(ranks), bool), np.zeros(len(ranks), bool)
    hit[near], skip[near] = hits[0][0], skipped[0][0]
    return Detections(*(field[order] for field in detections)), hit, skip


def _ranked(
    detections: Detections, limit: int
) -> tuple[Int64[np.ndarray, " kept"], Int64[np.ndarray, " kept"], Int64[np.ndarray, " kept"]]:
    """Order detections without those beyond the limit for a class of an image.

    Returns:
        The detections by image, class and score; the number of each within its image and class; and the places of the
        detections in this order, by class and score.
    """
    # One sort after the other, each of which keeps the order of the one before.
    order = np.argsort(detections.images, kind="stable")
    order = order[np.argsort(-detections.scores[order], kind="stable")]
    by_score = order[np.argsort(_narrow(detections.labels[order]), kind="stable")]
    order = by_score[np.argsort(_narrow(detections.images[by_score]), kind="stable")]
    images, labels = detections.images[order], detections.labels[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (images[1:] != images[:-1]) | (labels[1:] != labels[:-1])
    (first,) = np.nonzero(begins)
    ranks = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    order, ranks = order[ranks < limit], ranks[ranks < limit]
    places = np.full(len(detections.scores), -1)
    places[order] = np.arange(len(order))
    by_score = places[by_score]
    return order, ranks, by_score[by_score >= 0]


def _narrow(values: Int64[np.ndarray, " values"]) -> np.ndarray:
    """Bring numbers to the smallest type that holds them, in which they are sorted faster."""
    return values.astype(np.min_scalar_type(values.max(initial=0)))


def _pairs(overlaps: Overlaps, order: Int64[np.ndarray, " kept"]) -> Overlaps:
    """Number the detections of overlaps as they are ordered, without pairs that do not count."""
    places = np.full(len(overlaps.areas), -1)
    places[order] = np.arange(len(order))
    detections = places[overlaps.detections]
    (chosen,) = np.nonzero((detections >= 0) & (overlaps.values >= LEAST))
    return Overlaps(overlaps.areas[order], detections[chosen], overlaps.objects[chosen], overlaps.values[chosen])


def _match(
    pairs: Overlaps,
    ranks: Int64[np.ndarray, " detections"],
    ignore: Bool[np.ndarray, " objects"],
    left_out: Bool[np.ndarray, "areas objects"],
) -> tuple[Int64[np.ndarray, " found"], list[np.ndarray], list[np.ndarray]]:
    """Match every detection with at most one object.

    Returns:
        The detections that overlap enough with any object, and for each range of areas whether they are matched with a
        counted object, and whether with an excluded one [thresholds, near].
    """
    near, detection = np.unique(pairs.detections, return_inverse=True)
    rank = ranks[pairs.detections]
    order = np.argsort(rank, kind="stable")
    steps = np.searchsorted(rank[order], np.arange(rank.max() + 2)) if len(rank) else np.zeros(1, np.int64)
    least = np.minimum(THRESHOLDS, 1 - 1e-10)[:, None]
    hits, skipped = [], []
    for out in left_out:
        chosen = np.full((len(THRESHOLDS), len(near)), -1)
        taken = np.zeros((len(THRESHOLDS), len(ignore)), bool)
        for start, end in pairwise(steps.tolist()):
            step = order[start:end]
            if not len(step):
                continue
            owner, target, overlap = detection[step], pairs.objects[step], pairs.values[step]
            free = (overlap >= least) & ~(taken[:, target] & ~ignore[target])
            # Counted objects take precedence over excluded ones, then the highest overlap wins; ties go to the last.
            value = np.where(free, overlap + 2.0 * ~out[target], -1.0)
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


def _interpolated(
    hit: Bool[np.ndarray, "thresholds near"],
    wrong: Bool[np.ndarray, "thresholds near"],
    alone: Int64[np.ndarray, " near"],
    count: int,
) -> Float64[np.ndarray, "thresholds recalls"]:
    """Compute the maximum precision at or above each recall; 0 if the recall is not reached.

    Only detections that are near an object raise the recall; of the others the number before each of them is enough.
    """
    right = np.cumsum(hit, axis=1)
    precision = right / (np.cumsum(wrong, axis=1) + alone + right + np.spacing(1))
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
