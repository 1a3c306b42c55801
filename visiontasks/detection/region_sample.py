"""The regions that the losses of the second stage are computed on."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from visiontasks.detection.boxes import is_box, take
from visiontasks.detection.matcher import POSITIVE, Matches, Targets
from visiontasks.detection.sampler import weights_of


class RegionSample(NamedTuple):
    """The regions that the loss is computed on.

    Attributes:
        boxes: The regions.
        labels: Class of each; the number of classes for background.
        objects: Box of the matched object; the region itself for background.
        weight: Weight in the mean over the sample; 0 for unused entries.
        matches: Index in the image of the matched object; arbitrary for background.
    """

    boxes: Float[Tensor, "batch sampled 4"]
    labels: Int64[Tensor, "batch sampled"]
    objects: Float[Tensor, "batch sampled 4"]
    weight: Float[Tensor, "batch sampled"]
    matches: Int64[Tensor, "batch sampled"]

    def flat(self) -> tuple[Float[Tensor, "regions 4"], Int64[Tensor, " regions"]]:
        """Return the boxes of all images, and the index in the batch of the image of each."""
        images = torch.arange(len(self.boxes), device=self.boxes.device)[:, None].expand(self.labels.shape)
        return self.boxes.flatten(0, 1), images.flatten()


def labelled(
    boxes: Float[Tensor, "batch sampled 4"],
    matches: Matches,
    valid: Bool[Tensor, "batch sampled"],
    targets: Targets,
    num_classes: int,
    *,
    per_image: bool,
) -> RegionSample:
    """Give regions the class and the box of the object that they are matched with.

    Args:
        boxes: The regions.
        matches: What they are matched with.
        valid: Whether an entry is used.
        targets: The objects.
        num_classes: Number of classes.
        per_image: See :func:`~visiontasks.detection.sampler.weights_of`.
    """
    positive = (matches.states == POSITIVE) & is_box(boxes)
    # If an image has nothing to sample, entries hold padding, whose sides have no logarithm.
    unit = torch.cat([boxes.new_zeros(2), boxes.new_ones(2)])
    boxes = torch.where(is_box(boxes)[..., None], boxes, unit)
    return RegionSample(
        boxes,
        torch.where(positive, targets.labels.gather(1, matches.objects), num_classes),
        torch.where(positive[..., None], take(targets.boxes, matches.objects), boxes),
        weights_of(valid, per_image=per_image),
        matches.objects,
    )
