"""Matching of candidate boxes with objects."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visiontasks.detection.boxes import areas, intersections, iou_of

POSITIVE, NEGATIVE, NEITHER = 1, 0, -1


class Targets(NamedTuple):
    """The objects of a batch of images, padded.

    Attributes:
        boxes: Their boxes.
        labels: Their classes; -1 for padding.
        ignore: Whether an object is ignored in matching and evaluation.
    """

    boxes: Float[Tensor, "batch objects 4"]
    labels: Int64[Tensor, "batch objects"]
    ignore: Bool[Tensor, "batch objects"]

    def padded(self) -> "Targets":
        """Return targets with at least one entry per image, which is padding if no image has an object."""
        if self.labels.shape[1]:
            return self
        return Targets(
            F.pad(self.boxes, (0, 0, 0, 1)), F.pad(self.labels, (0, 1), value=-1), F.pad(self.ignore, (0, 1))
        )


class Matches(NamedTuple):
    """Result of matching for each candidate.

    Attributes:
        states: 1 for a candidate that is matched with an object, 0 for background, -1 for neither.
        objects: Index in the image of the object with the highest IoU; arbitrary if there is none.
    """

    states: Int64[Tensor, "batch candidates"]
    objects: Int64[Tensor, "batch candidates"]


class Matcher(NamedTuple):
    """Matches candidates, such as anchors, with objects by their intersection over union (IoU).

    Ren et al., Faster R-CNN (NeurIPS 2015), section 3.1.2. Like torchvision's ``Matcher``, for all images at once,
    except that an object which overlaps with no candidate has no low-quality matches. Ignored objects are not matched;
    a background candidate becomes neither if an ignored object covers half of it (a crowd contains objects that are not
    annotated).

    Attributes:
        positive: Minimum IoU of a candidate that is matched with an object.
        negative: IoU below which a candidate is background.
        allow_low_quality_matches: Whether the best candidates of each object are matched with it even at a low IoU.
        covered: Minimum share of a candidate covered by an ignored object that excludes it from the background.
    """

    positive: float
    negative: float
    allow_low_quality_matches: bool = False
    covered: float = 0.5

    def __call__(self, targets: Targets, candidates: Float[Tensor, "batch_or_1 candidates 4"]) -> Matches:
        """Match the candidates, per image or shared by all, with the objects of each image (padded to at least one)."""
        real = (targets.labels >= 0) & ~targets.ignore
        shared = intersections(targets.boxes, candidates)
        covered = shared >= self.covered * areas(candidates)[:, None]
        covered = (covered & (targets.ignore & (targets.labels >= 0))[..., None]).any(1)
        iou = iou_of(shared, targets.boxes, candidates).masked_fill_(~real[..., None], -1)
        best, objects = iou.max(1)
        states = torch.where(best >= self.positive, POSITIVE, torch.where(best < self.negative, NEGATIVE, NEITHER))
        if self.allow_low_quality_matches:
            highest = iou.amax(2, keepdim=True)
            low_quality = ((iou == highest) & (highest > 0)).any(1)
            states = torch.where(low_quality, POSITIVE, states)
        return Matches(torch.where(covered & (states == NEGATIVE), NEITHER, states), objects)
