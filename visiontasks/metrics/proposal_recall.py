"""Recall of proposals."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float64

from visiontasks.metrics.coco_scoring import THRESHOLDS
from visiontasks.metrics.detection_confusion import overlaps

Boxes = Float64[np.ndarray, "_ 4"]


def proposal_recall(
    images: Iterable[tuple[Boxes, Boxes]], limits: Sequence[int] = (100, 1000, 2000)
) -> dict[str, float]:
    """Compute the share of objects that overlap enough with one of the first proposals of their image.

    Hosang et al., What makes for effective detection proposals? (TPAMI 2016), section 4: ``recall_100`` is the mean
    recall of 100 proposals over the IoU thresholds 0.5, 0.55, ... 0.95, ``recall_50_100`` the recall at 0.5.

    ``ar_100`` is COCO's average recall (AR@100, without classes), in which a proposal covers one object only: each in
    turn, in order of score, takes the object that it overlaps with most among those not taken. Crowds, which COCO
    ignores, change nothing.

    Args:
        images: Proposals in descending order of score, and objects, for each image, xyxy in the same pixels.
        limits: Maximum numbers of proposals per image.

    Returns:
        The recalls by name; NaN without objects.

    Example:
        >>> box = np.array([[0.0, 0, 10, 10]])
        >>> proposal_recall([(box + 50, box), (box, box)], limits=(1,))
        {'recall_50_1': 0.5, 'recall_1': 0.5, 'ar_1': 0.5}
    """
    best: dict[int, list[np.ndarray]] = {limit: [] for limit in limits}
    ranks: list[np.ndarray] = []
    for proposals, objects in images:
        overlap = overlaps(proposals, objects)
        ranks.append(_ranks(overlap[: max(limits)]))
        for limit in limits:
            best[limit].append(overlap[:limit].max(0, initial=0.0))
    figures = {}
    for limit in limits:
        reached = np.concatenate([np.zeros(0), *best[limit]])
        for name, thresholds in ((f"recall_50_{limit}", THRESHOLDS[:1]), (f"recall_{limit}", THRESHOLDS)):
            shares = (reached[:, None] >= thresholds).mean() if len(reached) else np.nan
            figures[name] = float(shares)
        taken = np.concatenate([np.zeros((len(THRESHOLDS), 0)), *ranks], 1) < limit
        figures[f"ar_{limit}"] = float(taken.mean()) if taken.size else np.nan
    return figures


def _ranks(overlap: Float64[np.ndarray, "proposals objects"]) -> Float64[np.ndarray, "thresholds objects"]:
    """Return the rank of the proposal that takes each object at each threshold; infinity if none does."""
    least = np.minimum(THRESHOLDS, 1 - 1e-10)
    ranks = np.full((len(THRESHOLDS), overlap.shape[1]), np.inf)
    rows = np.arange(len(THRESHOLDS))
    for rank in np.flatnonzero((overlap >= least[0]).any(1)).tolist():
        free = np.where(np.isinf(ranks), overlap[rank], -1.0)
        # Of equal overlaps COCO takes the last.
        chosen = free.shape[1] - 1 - free[:, ::-1].argmax(1)
        enough = free[rows, chosen] >= least
        ranks[rows[enough], chosen[enough]] = rank
    return ranks
