"""Comparison of an exported file with its task."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.ops import box_iou

from visiontasks.errors import ExportError

TOLERANCE = 1e-3
"""Maximum difference of values from 0 to 1; for boxes, 100 times as much, in pixels."""
_BOX_TOLERANCE = 0.1
_DISAGREEING = 1e-3


def compare(
    expected: Mapping[str, Tensor], actual: Mapping[str, Tensor], file: str, score: float | None = None
) -> dict[str, float]:
    """Compare results by name.

    Floating-point results may differ by 0.001, boxes by 0.1 pixel, and one label in a thousand may differ, since
    rounding decides between equally likely classes. Detections are compared as sets.

    Args:
        expected: What the task computes.
        actual: What the file computes.
        file: Its name, for the message.
        score: Minimum score of a detection; None for results that are not detections.

    Returns:
        Maximum difference of each result; for labels, the fraction that differs. NaN if neither side found anything.

    Raises:
        ExportError: If a result differs by more.
    """
    actual = {name: torch.as_tensor(value) for name, value in actual.items()}
    for name, value in expected.items():
        if actual[name].shape != value.shape:
            message = f"{file!r} gives {name} of shape {list(actual[name].shape)}, the task {list(value.shape)}."
            raise ExportError(message)
    differences = _of_values(expected, actual) if score is None else _of_detections(expected, actual, score)
    for name, difference in differences.items():
        if score is not None and math.isnan(difference):
            continue
        limit = _DISAGREEING if name == "labels" else _BOX_TOLERANCE if name.endswith("boxes") else TOLERANCE
        if not difference <= limit:
            message = (
                f"{file!r} computes other {name} than the task: the largest difference is {difference:.3g}, more than "
                f"{limit:g}. No file was written."
            )
            raise ExportError(message)
    return differences


def _of_values(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor]) -> dict[str, float]:
    differences = {}
    for name, value in expected.items():
        if value.is_floating_point():
            differences[name] = (actual[name] - value).abs().max().item()
        else:
            differences[name] = (actual[name].to(value.dtype) != value).double().mean().item()
    return differences


def _of_detections(expected: Mapping[str, Tensor], actual: Mapping[str, Tensor], score: float) -> dict[str, float]:
    """Match each detection with one of the same class in the other set; those at the minimum score may be missing."""
    values: dict[str, list[float]] = {name: [] for name in expected if name != "labels"}
    unmatched = total = 0
    for image in range(len(expected["labels"])):
        one, other = ({name: of[name][image] for name in expected} for of in (expected, actual))
        for left, right in ((one, other), (other, one)):
            left, right = (_real(side) for side in (left, right))
            sure = left["scores"] > score + TOLERANCE
            overlap = box_iou(left["boxes"], right["boxes"])
            overlap = torch.where(left["labels"][:, None] == right["labels"], overlap, -1.0)
            best, match = overlap.max(1) if overlap.numel() else (torch.zeros(len(sure)), None)
            total += int(sure.sum())
            unmatched += int((sure & ~(best >= 0.9)).sum())
            both = sure & (best >= 0.9)
            if match is not None and both.any():
                for name, differences in values.items():
                    differences.append((left[name] - right[name][match])[both].abs().max().item())
    labels = unmatched / total if total else math.nan
    # A NaN box overlaps with nothing: it is unmatched, which the comparison of labels detects.
    return {**{name: max(differences, default=math.nan) for name, differences in values.items()}, "labels": labels}


def _real(detections: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: values[detections["labels"] >= 0] for name, values in detections.items()}


def named(names: Sequence[str], values: Sequence[Tensor]) -> dict[str, Tensor]:
    """Map the names of results to their values."""
    return dict(zip(names, values, strict=True))
