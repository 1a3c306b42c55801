"""Overlaps of detections with the objects of their image and class, which COCO's scores are computed from."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from visiontasks.metrics.detection_records import Detections, TrueObjects

LEAST = 0.5
"""Lowest overlap that COCO's scores count."""


class Overlaps(NamedTuple):
    """What is compared of detections and objects: boxes or masks.

    The pairs of a detection follow one another, in ascending order of their objects.

    Attributes:
        areas: Area of each detection in square pixels, from which COCO derives its size class.
        detections: Detection of each pair of a detection and an object of the same image and class.
        objects: Object of each pair.
        values: Intersection over union of each pair; with an ignored object, the share of the detection that lies in
            it. Pairs of less than 0.5 may be missing.
    """

    areas: Float64[np.ndarray, " detections"]
    detections: Int64[np.ndarray, " pairs"]
    objects: Int64[np.ndarray, " pairs"]
    values: Float64[np.ndarray, " pairs"]


def pairs_of_class(
    detections: Detections, objects: TrueObjects
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """List all pairs of a detection and an object of the same image and class, as positions of both."""
    classes = int(max(detections.labels.max(initial=0), objects.labels.max(initial=0))) + 1
    groups = objects.images * classes + objects.labels
    order = np.argsort(groups, kind="stable")
    groups, group = groups[order], detections.images * classes + detections.labels
    low, high = np.searchsorted(groups, group, "left"), np.searchsorted(groups, group, "right")
    count = high - low
    first = np.cumsum(count) - count
    detection = np.repeat(np.arange(len(group)), count)
    return detection, order[np.arange(len(detection)) - np.repeat(first - low, count)]


def box_overlaps(detections: Detections, objects: TrueObjects) -> Overlaps:
    """Compute the overlaps of the boxes of detections and objects."""
    boxes, others = _from_sides(detections.boxes), _from_sides(objects.boxes)
    detection, target = pairs_of_class(detections, objects)
    left, right = boxes[detection], others[target]
    shared = np.minimum(left[:, 2:4], right[:, 2:4]) - np.maximum(left[:, :2], right[:, :2])
    inside = (shared > 0).all(1)
    detection, target, shared = detection[inside], target[inside], shared[inside]
    areas, other = boxes[:, 4] * boxes[:, 5], others[:, 4] * others[:, 5]
    return over_union(areas, other, objects, detection, target, shared[:, 0] * shared[:, 1])


def over_union(
    areas: Float64[np.ndarray, " detections"],
    object_areas: Float64[np.ndarray, " objects"],
    objects: TrueObjects,
    detection: Int64[np.ndarray, " pairs"],
    target: Int64[np.ndarray, " pairs"],
    intersection: Float64[np.ndarray, " pairs"],
) -> Overlaps:
    """Divide intersections by unions, or by the area of the detection in an ignored object; keep those that count.

    Args:
        areas: Area of each detection.
        object_areas: Area of each object, as it is drawn.
        objects: The objects.
        detection: Detection of each pair.
        target: Object of each pair.
        intersection: Area that the two share; none of them is 0.
    """
    area, other = areas[detection], object_areas[target]
    values = intersection / np.where(objects.ignore[target], area, area + other - intersection)
    enough = values >= LEAST
    return Overlaps(areas, detection[enough], target[enough], values[enough])


def _from_sides(boxes: Float64[np.ndarray, "boxes 4"]) -> Float64[np.ndarray, "boxes 6"]:
    """Return corners rounded as in pycocotools, which stores sides and adds them to corners, and the sides."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([boxes[:, :2], boxes[:, :2] + sides, sides], axis=1)
