"""The second stage of a detector: class and refined box of each proposal."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from visiontasks.detection.box_coder import BoxCoder
from visiontasks.detection.boxes import clip_to, is_box, take
from visiontasks.detection.matcher import Matcher, Matches, Targets
from visiontasks.detection.nms import grouped_nms
from visiontasks.detection.region_sample import RegionSample, labelled
from visiontasks.detection.rpn import BETA
from visiontasks.detection.sampler import Sampler
from visiontasks.detection.soft_nms import SoftNMS, soft_nms
from visiontasks.errors import check_choice, check_range
from visiontasks.losses.box import box_loss
from visiontasks.losses.factors import own_loss
from visiontasks.types import DetectionPredictions

RegionBoxLoss = Literal["smooth_l1", "iou", "giou", "diou", "ciou"]

_LEAST_SIDE = 1e-2
_IOU_FACTOR = 10.0


class Candidates(NamedTuple):
    """Boxes of classes before non-maximum suppression.

    Attributes:
        boxes: The boxes, clipped to their images.
        scores: Their scores.
        labels: Their classes.
        images: Index in the batch of the image of each.
    """

    boxes: Float[Tensor, "candidates 4"]
    scores: Float[Tensor, " candidates"]
    labels: Int64[Tensor, " candidates"]
    images: Int64[Tensor, " candidates"]


class RoIHead(nn.Module):
    """Predicts class and box of regions from their features.

    Girshick, Fast R-CNN (ICCV 2015). For equal weights, losses and detections equal those of torchvision's
    ``RoIHeads``. Background is the last class (the first in torchvision) and has no box.

    Args:
        channels: Channels of the features of a region.
        size: Rows and columns of these features.
        num_classes: Number of classes, background not counted.
        convolutions: Filters of 3x3 convolutions with batch norm before the linear layers; none by default.
        widths: Units of the hidden linear layers.
        class_agnostic: Whether all classes of a region share one box.
        batch_size_per_image: Number of proposals per image that the loss is computed on.
        positive_fraction: Maximum share of positives among them, 0 to 1.
        box_loss: ``"smooth_l1"`` of the deltas; or ``"iou"``, ``"giou"``, ``"diou"`` or ``"ciou"`` of the boxes in
            pixels, times 10 (as MMDetection weights them), or the import path of a function of your own, see
            :func:`~visiontasks.losses.box.box_loss`.
        score_thresh: Minimum score of a detection.
        nms_thresh: IoU above which the lower-scored of two detections of a class is suppressed.
        detections_per_img: Maximum number of detections per image.
        soft_nms: Whether boxes of lower score lose score instead of being suppressed, see
            :func:`~visiontasks.detection.soft_nms.soft_nms`.
        positive: IoU with an object from which a region is matched with it.
        delta_weights: Factors of the shifts and of the logarithms in the deltas of boxes, see
            :class:`~visiontasks.detection.box_coder.BoxCoder`.

    Raises:
        ArgumentError: If an argument is out of range or names something unknown.
    """

    def __init__(
        self,
        channels: int,
        size: tuple[int, int],
        num_classes: int,
        *,
        convolutions: Sequence[int] = (),
        widths: Sequence[int] = (1024, 1024),
        class_agnostic: bool = False,
        batch_size_per_image: int = 512,
        positive_fraction: float = 0.25,
        box_loss: RegionBoxLoss | str = "smooth_l1",
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 100,
        soft_nms: SoftNMS = "none",
        positive: float = 0.5,
        delta_weights: tuple[float, float] = (10.0, 5.0),
    ) -> None:
        super().__init__()
        check_range(0, 1, box_score_thresh=score_thresh, box_nms_thresh=nms_thresh)
        check_range(1, math.inf, box_detections_per_img=detections_per_img)
        check_choice("box_soft_nms", soft_nms, get_args(SoftNMS))
        if "." in box_loss:
            own_loss(box_loss)
        else:
            check_choice("box_loss", box_loss, get_args(RegionBoxLoss))
        self.num_classes = num_classes
        self.box_loss = box_loss
        self.soft_nms = soft_nms
        self.convolutions = nn.Sequential()
        for filters in convolutions:
            self.convolutions.append(Conv2dNormActivation(channels, filters, 3, norm_layer=nn.BatchNorm2d))
            channels = filters
        self.hidden = nn.ModuleList()
        units = channels * size[0] * size[1]
        for width in widths:
            self.hidden.append(nn.Linear(units, width))
            units = width
        self.cls_score = nn.Linear(units, num_classes + 1)
        self.bbox_pred = nn.Linear(units, 4 * (1 if class_agnostic else num_classes))
        if convolutions:
            for module in (*self.convolutions.modules(), *self.hidden):
                if isinstance(module, nn.Conv2d | nn.Linear):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
        self.sampler = Sampler(batch_size_per_image, positive_fraction)
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.matcher = Matcher(positive=positive, negative=positive)
        self.coder = BoxCoder(delta_weights)

    def forward(self, regions: Float[Tensor, "regions rows columns channels"]) -> tuple[Tensor, Tensor]:
        """Compute logits [regions, classes + 1] and deltas [regions, classes or 1, 4] in float32."""
        x = self.convolutions(regions.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x), inplace=True)
        return self.cls_score(x).float(), self.bbox_pred(x).float().unflatten(1, (-1, 4))

    @torch.no_grad()
    def sample(self, proposals: Float[Tensor, "batch proposals 4"], targets: Targets) -> RegionSample:
        """Sample from the proposals and the objects' own boxes.

        Args:
            proposals: The proposals, padded.
            targets: The objects.
        """
        real = (targets.labels >= 0) & ~targets.ignore
        candidates = torch.cat([proposals, torch.where(real[..., None], targets.boxes, 0.0)], 1)
        states, objects = self.matcher(targets, candidates)
        states = torch.where(is_box(candidates), states, -1)
        indices, valid = self.sampler(states, at_random=self.training)
        matches = Matches(states.gather(1, indices), objects.gather(1, indices))
        chosen = take(candidates, indices)
        return labelled(chosen, matches, valid, targets, self.num_classes, per_image=not self.training)

    @torch.no_grad()
    def relabel(self, sample: RegionSample, boxes: Float[Tensor, "batch sampled 4"], targets: Targets) -> RegionSample:
        """Match the regions of a sample again, after another head has refined them.

        Args:
            sample: The sample.
            boxes: Its boxes as they were refined.
            targets: The objects.
        """
        matches = self.matcher(targets, boxes)
        valid = (sample.weight > 0) & is_box(boxes) & (matches.states >= 0)
        return labelled(boxes, matches, valid, targets, self.num_classes, per_image=not self.training)

    def losses(
        self,
        logits: Float[Tensor, "regions outputs"],
        deltas: Float[Tensor, "regions boxed 4"],
        sample: RegionSample,
    ) -> dict[str, Float[Tensor, ""]]:
        """Compute the losses of a sample, whose regions are ordered by image.

        Returns:
            ``classification``: cross-entropy, averaged over the sample. ``box``: the box loss of positive proposals for
            the class of their object, summed and divided by the size of the sample. In evaluation the sample of each
            image is averaged, and then the images.
        """
        labels, weight = sample.labels.flatten(), sample.weight.flatten()
        terms = F.cross_entropy(logits, labels, reduction="none")
        positive = labels < self.num_classes
        boxed = torch.where(positive, labels, 0) if deltas.shape[1] > 1 else torch.zeros_like(labels)
        predicted = deltas.gather(1, boxed[:, None, None].expand(-1, 1, 4))[:, 0]
        boxes, objects = sample.boxes.flatten(0, 1), sample.objects.flatten(0, 1)
        if self.box_loss == "smooth_l1":
            target = self.coder.encode(objects, boxes)
            distance = F.smooth_l1_loss(predicted, target, beta=BETA, reduction="none").sum(-1)
        else:
            factor = 1.0 if "." in self.box_loss else _IOU_FACTOR
            distance = factor * box_loss(self.coder.decode(predicted, boxes), objects, self.box_loss)
        return {"classification": (terms * weight).sum(), "box": (distance * (weight * positive)).sum()}

    @torch.no_grad()
    def predict(
        self,
        logits: Float[Tensor, "regions outputs"],
        deltas: Float[Tensor, "regions boxed 4"],
        boxes: Float[Tensor, "regions 4"],
        images: Int64[Tensor, " regions"],
        sizes: Int64[Tensor, "batch 2"],
        score_thresh: float | None = None,
    ) -> DetectionPredictions:
        """Convert regions to detections by score threshold, clipping, non-maximum suppression and a limit per image.

        Args:
            logits: Logits of the classes and of background.
            deltas: Boxes encoded relative to the regions.
            boxes: The regions.
            images: Index in the batch of the image of each region.
            sizes: Height and width of each image.
            score_thresh: Minimum score of a detection; by default that of the head.
        """
        return self.select(
            self.candidates(logits, deltas, boxes, images, sizes, score_thresh), len(sizes), score_thresh
        )

    @torch.no_grad()
    def candidates(
        self,
        logits: Float[Tensor, "regions outputs"],
        deltas: Float[Tensor, "regions boxed 4"],
        boxes: Float[Tensor, "regions 4"],
        images: Int64[Tensor, " regions"],
        sizes: Int64[Tensor, "batch 2"],
        score_thresh: float | None = None,
    ) -> Candidates:
        """Convert regions to boxes of classes above the score threshold; the arguments are those of :meth:`predict`."""
        scores = logits.softmax(1)[:, : self.num_classes]
        least = self.score_thresh if score_thresh is None else score_thresh
        regions, labels = torch.nonzero(scores > least, as_tuple=True)
        boxed = labels if deltas.shape[1] > 1 else torch.zeros_like(labels)
        decoded = self.coder.decode(deltas[regions, boxed], boxes[regions])
        owners = images[regions]
        decoded = clip_to(decoded[:, None], sizes[owners])[:, 0]
        likely = scores[regions, labels]
        large = (decoded[:, 2:] - decoded[:, :2] >= _LEAST_SIDE).all(1).nonzero().flatten()
        return Candidates(decoded[large], likely[large], labels[large], owners[large])

    @torch.no_grad()
    def select(self, candidates: Candidates, count: int, score_thresh: float | None = None) -> DetectionPredictions:
        """Select the detections of images by non-maximum suppression within each class, and the limit per image.

        Args:
            candidates: Boxes of classes.
            count: Number of images.
            score_thresh: Minimum score of a detection; by default that of the head.
        """
        decoded, likely, labels, owners = candidates
        groups = owners * self.num_classes + labels
        if self.soft_nms == "none":
            kept = grouped_nms(decoded, likely, groups, self.nms_thresh)
        else:
            least = self.score_thresh if score_thresh is None else score_thresh
            most = self.detections_per_img
            likely = soft_nms(decoded, likely, groups, self.soft_nms, self.nms_thresh, least, most)
            kept = likely.argsort(descending=True, stable=True)[: int((likely > 0).sum())]
        kept = kept[owners[kept].argsort(stable=True)]
        counts = torch.bincount(owners[kept], minlength=count)
        rank = torch.arange(len(kept), device=kept.device) - (counts.cumsum(0) - counts)[owners[kept]]
        kept, rank = kept[rank < self.detections_per_img], rank[rank < self.detections_per_img]
        position = owners[kept], rank
        shape = (count, self.detections_per_img)
        return DetectionPredictions(
            decoded.new_zeros(*shape, 4).index_put(position, decoded[kept]),
            likely.new_zeros(shape).index_put(position, likely[kept]),
            labels.new_full(shape, -1).index_put(position, labels[kept]),
        )
