"""Heads of regions one after the other: each refines the boxes that the one before has predicted.

Cai and Vasconcelos, Cascade R-CNN (CVPR 2018). A single head is a cascade of one stage.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.detection.boxes import clip_to
from visiontasks.detection.matcher import Targets
from visiontasks.detection.region_sample import RegionSample
from visiontasks.detection.roi_head import RoIHead

Read = Callable[[Tensor, Tensor], Tensor]
"""Reads the features of regions, given their boxes and the index in the batch of the image of each."""


class StageOptions(NamedTuple):
    """What the heads of a cascade differ in.

    Attributes:
        positive: IoU with an object from which a region is matched with it.
        delta_weights: Factors of the deltas of its boxes: boxes of later stages are closer to the objects.
    """

    positive: float
    delta_weights: tuple[float, float]


STAGES = (
    StageOptions(0.5, (10.0, 5.0)),
    StageOptions(0.6, (20.0, 10.0)),
    StageOptions(0.7, (30.0, 15.0)),
)
LOSS_WEIGHTS = (1.0, 0.5, 0.25)


def region_losses(
    stages: Sequence[RoIHead],
    read: Read,
    proposals: Float[Tensor, "batch proposals 4"],
    targets: Targets,
    sizes: Int64[Tensor, "batch 2"],
) -> tuple[dict[str, Float[Tensor, ""]], RegionSample]:
    """Compute the losses of all stages on one sample, whose boxes each stage passes on refined, without gradient.

    As in Detectron2, the sample is drawn once, and later stages match all of it again. The losses of the stages are
    weighted by 1, 0.5 and 0.25.

    Args:
        stages: The heads, in order.
        read: Reads the features of regions.
        proposals: The proposals, padded.
        targets: The objects.
        sizes: Height and width of each image.

    Returns:
        The losses by name, of several stages with the number of the stage, from 1; and the sample of the last stage.
    """
    terms: dict[str, Tensor] = {}
    sample = stages[0].sample(proposals, targets)
    for number, (stage, weight) in enumerate(zip(stages, LOSS_WEIGHTS, strict=False), 1):
        logits, deltas = stage(read(*sample.flat()))
        suffix = f"_{number}" if len(stages) > 1 else ""
        terms |= {f"{name}{suffix}": weight * term for name, term in stage.losses(logits, deltas, sample).items()}
        if number < len(stages):
            boxes = _refined(stage, deltas, *sample.flat(), sizes).view_as(sample.boxes)
            sample = stages[number].relabel(sample, boxes, targets)
    return terms, sample


def refine(
    stages: Sequence[RoIHead],
    read: Read,
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    sizes: Int64[Tensor, "batch 2"],
) -> tuple[Float[Tensor, "regions outputs"], Float[Tensor, "regions boxed 4"], Float[Tensor, "regions 4"]]:
    """Pass regions through all stages.

    Args:
        stages: The heads, in order.
        read: Reads the features of regions.
        boxes: The regions.
        images: Index in the batch of the image of each.
        sizes: Height and width of each image.

    Returns:
        Logits, whose softmax is the mean over the stages; deltas of the last stage; and the boxes that they refine.
    """
    logits, deltas = stages[0](read(boxes, images))
    each = [logits]
    for before, stage in pairwise(stages):
        boxes = _refined(before, deltas, boxes, images, sizes)
        logits, deltas = stage(read(boxes, images))
        each.append(logits)
    if len(each) > 1:
        # The sum of the probabilities: a softmax divides it by their number.
        logits = torch.stack([of.log_softmax(1) for of in each]).logsumexp(0)
    return logits, deltas, boxes


@torch.no_grad()
def _refined(
    stage: RoIHead,
    deltas: Float[Tensor, "regions 1 4"],
    boxes: Float[Tensor, "regions 4"],
    images: Int64[Tensor, " regions"],
    sizes: Int64[Tensor, "batch 2"],
) -> Float[Tensor, "regions 4"]:
    return clip_to(stage.coder.decode(deltas[:, 0].detach(), boxes)[:, None], sizes[images])[:, 0]
