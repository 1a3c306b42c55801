"""The first stage of a detector: class-agnostic region proposals."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from visiontasks.backbones.backbone import Features
from visiontasks.detection.anchors import Anchors
from visiontasks.detection.box_coder import BoxCoder
from visiontasks.detection.boxes import clip_to, take
from visiontasks.detection.matcher import POSITIVE, Matcher, Targets
from visiontasks.detection.nms import suppress
from visiontasks.detection.sampler import Sampler, weights_of
from visiontasks.errors import ArgumentError

BETA = 1 / 9
"""Transition point of the smooth L1 loss from quadratic to linear."""
_LEAST_SIDE = 1e-3

TopN = int | tuple[int, int]
"""A number of boxes, the same in training and evaluation or one for each."""


class RPNOutputs(NamedTuple):
    """Predictions for each anchor.

    Attributes:
        objectness: Logit of whether the anchor contains an object.
        deltas: The object's box, encoded relative to the anchor.
        anchors: The anchors.
        counts: Number of anchors of each feature map.
    """

    objectness: Float[Tensor, "batch anchors"]
    deltas: Float[Tensor, "batch anchors 4"]
    anchors: Float[Tensor, "anchors 4"]
    counts: tuple[int, ...]


class RPNHead(nn.Module):
    """3x3 convolutions on every feature map, then 1x1 convolutions for objectness and box of each anchor.

    Parameters are named as in torchvision.

    Args:
        channels: Channels of the feature maps.
        anchors: Number of anchors at each position.
        depth: Number of 3x3 convolutions.
    """

    def __init__(self, channels: int, anchors: int, depth: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(*(Conv2dNormActivation(channels, channels, 3, norm_layer=None) for _ in range(depth)))
        self.cls_logits = nn.Conv2d(channels, anchors, 1)
        self.bbox_pred = nn.Conv2d(channels, 4 * anchors, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, feature: Float[Tensor, "batch _ height width"]) -> tuple[Tensor, Tensor]:
        """Compute objectness [B, A] and deltas [B, A, 4] of the anchors of a map, ordered by position."""
        x = self.conv(feature)
        objectness = self.cls_logits(x).permute(0, 2, 3, 1).flatten(1)
        deltas = self.bbox_pred(x).permute(0, 2, 3, 1).reshape(*objectness.shape, 4)
        return objectness, deltas


class RPN(nn.Module):
    """A region proposal network (Ren et al., Faster R-CNN, NeurIPS 2015, section 3.1).

    For equal weights the proposals equal torchvision's, as do the losses for the same sample of anchors.

    Args:
        channels: Channels of the feature maps.
        anchors: The anchors of the maps.
        depth: Number of 3x3 convolutions of its head.
        pre_nms_top_n: Number of anchors of each map, with the highest objectness, kept before non-maximum suppression,
            in training and in evaluation.
        post_nms_top_n: Number of proposals per image kept after it, in training and in evaluation.
        nms_thresh: IoU above which the lower-scored of two proposals of a map is suppressed.
        batch_size_per_image: Number of anchors per image that the loss is computed on.
        positive_fraction: Maximum share of positives among them, 0 to 1.
    """

    def __init__(
        self,
        channels: int,
        anchors: Anchors,
        *,
        depth: int = 1,
        pre_nms_top_n: TopN = (2000, 1000),
        post_nms_top_n: TopN = (2000, 1000),
        nms_thresh: float = 0.7,
        batch_size_per_image: int = 256,
        positive_fraction: float = 0.5,
    ) -> None:
        super().__init__()
        self.anchors = anchors
        self.head = RPNHead(channels, anchors.per_place, depth)
        self.pre_nms_top_n = _of_stages("rpn_pre_nms_top_n", pre_nms_top_n)
        self.post_nms_top_n = _of_stages("rpn_post_nms_top_n", post_nms_top_n)
        self.nms_thresh = nms_thresh
        self.sampler = Sampler(batch_size_per_image, positive_fraction)
        self.matcher = Matcher(positive=0.7, negative=0.3, allow_low_quality_matches=True)
        self.coder = BoxCoder()

    def forward(self, features: Features) -> RPNOutputs:
        """Compute objectness and deltas of the anchors of all maps."""
        objectness, deltas = zip(*(self.head(feature) for feature in features), strict=True)
        return RPNOutputs(
            torch.cat(objectness, 1).float(),
            torch.cat(deltas, 1).float(),
            self.anchors(features),
            tuple(part.shape[1] for part in objectness),
        )

    @torch.no_grad()
    def propose(self, outputs: RPNOutputs, sizes: Int64[Tensor, "batch 2"]) -> Float[Tensor, "batch proposals 4"]:
        """Compute proposals from the top anchors of each map by decoding, clipping and non-maximum suppression.

        Args:
            outputs: Predictions of the network.
            sizes: Height and width of each image.

        Returns:
            Boxes in descending order of objectness, then padding.
        """
        candidates, count = (pair[0 if self.training else 1] for pair in (self.pre_nms_top_n, self.post_nms_top_n))
        levels = []
        start = 0
        for size in outputs.counts:
            logits = outputs.objectness[:, start : start + size]
            scores, places = logits.topk(min(candidates, size), 1)
            places = places + start
            boxes = self.coder.decode(take(outputs.deltas, places), outputs.anchors[places])
            boxes = clip_to(boxes, sizes)
            valid = (boxes[..., 2:] - boxes[..., :2] >= _LEAST_SIDE).all(-1)
            keep = suppress(boxes, valid, self.nms_thresh)
            levels.append((boxes, torch.where(keep, scores.sigmoid(), -1.0)))
            start += size
        boxes, scores = (torch.cat(parts, 1) for parts in zip(*levels, strict=True))
        best, places = scores.topk(min(count, scores.shape[1]), 1)
        return torch.where(best[..., None] >= 0, take(boxes, places), 0.0)

    def losses(self, outputs: RPNOutputs, targets: Targets) -> dict[str, Float[Tensor, ""]]:
        """Compute the losses on a sample of the anchors.

        Args:
            outputs: Predictions of the network.
            targets: The objects.

        Returns:
            ``objectness``: cross-entropy, averaged over the sample. ``rpn_box``: smooth L1 of the deltas of positive
            anchors, summed and divided by the size of the sample. In evaluation the sample of each image is averaged,
            and then the images.
        """
        anchors = outputs.anchors[None]
        states, objects = self.matcher(targets, anchors)
        indices, valid = self.sampler(states, at_random=self.training)
        weight = weights_of(valid, per_image=not self.training)
        positive = states.gather(1, indices) == POSITIVE
        logits = outputs.objectness.gather(1, indices)
        terms = F.binary_cross_entropy_with_logits(logits, positive.to(logits.dtype), reduction="none")
        sampled = outputs.anchors[indices]
        boxes = torch.where(positive[..., None], take(targets.boxes, objects.gather(1, indices)), sampled)
        distance = F.smooth_l1_loss(
            take(outputs.deltas, indices), self.coder.encode(boxes, sampled), beta=BETA, reduction="none"
        )
        return {
            "objectness": (terms * weight).sum(),
            "rpn_box": (distance.sum(-1) * (weight * positive)).sum(),
        }


def _of_stages(name: str, numbers: TopN) -> tuple[int, int]:
    """Return the number in training and that in evaluation.

    Raises:
        ArgumentError: If there are others, or one is less than 1.
    """
    both = (numbers, numbers) if isinstance(numbers, int) else tuple(numbers)
    if len(both) != 2 or min(both) < 1:
        message = f"{name} is {numbers}; expected a number of at least 1, or one for training and one for evaluation."
        raise ArgumentError(message)
    return both
