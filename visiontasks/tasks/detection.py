"""Detection by region proposals: Faster R-CNN, Fast R-CNN and R-CNN on any backbone."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.detection.anchors import Anchors
from visiontasks.detection.boxes import is_box
from visiontasks.detection.cascade import STAGES, refine, region_losses
from visiontasks.detection.choices import check_choices
from visiontasks.detection.levels import choose_maps
from visiontasks.detection.matcher import Targets
from visiontasks.detection.outputs import DetectionOutputs
from visiontasks.detection.region_sample import RegionSample
from visiontasks.detection.regions_alone import regions_alone
from visiontasks.detection.roi_align import roi_align
from visiontasks.detection.roi_head import RegionBoxLoss, RoIHead
from visiontasks.detection.rpn import RPN, TopN
from visiontasks.detection.soft_nms import SoftNMS
from visiontasks.detection.windows import sliding_windows
from visiontasks.errors import check_range
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.tasks.agreement import check_entries, check_proposals
from visiontasks.tasks.averaging import Flips, check_averaging
from visiontasks.tasks.clipping import GradientClipping
from visiontasks.tasks.detection_views import merged, with_views
from visiontasks.tasks.detector_weights import freezes_norms, start_detector
from visiontasks.tasks.task import Task
from visiontasks.tasks.views import multiple_of
from visiontasks.types import DetectionBatch, DetectionPredictions, Images, InstancePredictions

_CELLS = (7, 7)


class DetectionTask(Task):
    """Finds the objects in an image: a box, a class and a score for each.

    Logs ``loss`` and its terms, COCO's metrics (``map``, ``map_50``, ``mar_100`` and so on) and ``class_map/NAME``, see
    :class:`~visiontasks.metrics.coco_average_precision.CocoAveragePrecision`.

    Faster R-CNN (Ren et al., NeurIPS 2015): a region proposal network on the feature maps of the backbone, and a head
    that predicts class and box of each proposal. With a pyramid (Lin et al., CVPR 2017), ResNet-50 and equal weights
    the detections equal those of torchvision's ``fasterrcnn_resnet50_fpn``, with ``design="v2"`` those of its ``_v2``.
    Gradients are scaled down to a norm of 10 if the Trainer has no ``gradient_clip_val``.

    Args:
        num_classes: Number of classes, background not counted. On the command line it is taken from the data.
        class_names: Their names in the order of the labels; by default those of the data module.
        proposals: Source of the proposals: ``"rpn"`` learns them (Faster R-CNN); ``"precomputed"`` reads them from the
            batch (Fast R-CNN), see ``visiontasks propose``; ``"sliding-window"`` uses windows everywhere, see
            :func:`~visiontasks.detection.windows.sliding_windows`.
        features: Where the features of a region come from: ``"shared"`` reads them from the maps of the image;
            ``"per-region"`` runs the backbone on the region alone (R-CNN), resized to 7 times the coarsest stride,
            without a pyramid. It takes hundreds of times as long, and needs proposals that are not learnt.
        weights: Weights of a whole detector to start from, see :func:`~visiontasks.detection.published.load_detector`;
            ``"fasterrcnn_resnet50_fpn"`` for torchvision's. Output layers for other classes or anchors stay random, and
            the normalisation is adopted unless one is given.
        neck: ``"fpn"`` for a pyramid of maps, ``"none"`` for the single map of stride 16; the stages after it are then
            not trained.
        design: ``"v1"``, or ``"v2"`` for batch norm in the pyramid, two convolutions before the proposals, and four
            with batch norm in the head before one hidden layer (Li et al., Benchmarking detection transfer learning
            with vision transformers, 2021, section 3.2).
        stride: Minimum stride of the maps in the pyramid.
        fpn_width: Channels of the pyramid.
        head_width: Units of the hidden layers of the head.
        anchor_scales: Sides of the square anchors in multiples of the stride of their map; by default 8 in a pyramid,
            and 2, 4, 8, 16 and 32 on a single map.
        aspect_ratios: Ratios of height to width of the anchors.
        class_agnostic: Whether all classes of a proposal share one box.
        cascade: Whether three heads, trained at IoU 0.5, 0.6 and 0.7, refine the boxes one after the other, which all
            classes then share (Cai and Vasconcelos 2018); see :mod:`visiontasks.detection.cascade`.
        arithmetic: ``"torchvision"``, or ``"detectron2"`` for weights of Detectron2 and MMDetection: anchors are not
            rounded, and regions are read aligned, see :func:`~visiontasks.detection.roi_align.roi_align`.
        rpn_pre_nms_top_n: Anchors of each map kept before non-maximum suppression, in training and in evaluation.
        rpn_post_nms_top_n: Number of proposals of an image kept after it, in training and in evaluation.
        rpn_batch_size_per_image: Number of anchors per image that the loss of the proposals is computed on.
        box_batch_size_per_image: Number of proposals per image that the loss of the head is computed on.
        box_loss: ``"smooth_l1"``, ``"iou"``, ``"giou"``, ``"diou"`` or ``"ciou"``, or the import path of a function of
            your own, see :class:`~visiontasks.detection.roi_head.RoIHead`.
        box_score_thresh: Minimum score of a detection, 0 to 1.
        box_nms_thresh: IoU above which the lower-scored of two detections of a class is suppressed.
        box_detections_per_img: Maximum number of detections per image.
        box_soft_nms: ``"linear"`` or ``"gaussian"`` to lower scores instead of suppressing boxes, or ``"none"``; see
            :func:`~visiontasks.detection.soft_nms.soft_nms`.
        test_time_flips: Mirror images whose boxes are merged with those of the image by one suppression, except in the
            validations of a fit: ``"horizontal"``, ``"vertical"``, ``"both"`` (four views) or ``"none"``.
        test_time_scales: Scale factors of the image whose boxes are merged likewise.
        **kwargs: Arguments of :class:`~visiontasks.tasks.task.Task`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or do not fit this detector.
        DownloadError: If published weights are not in the cache and cannot be downloaded.

    Example:
        >>> task = DetectionTask(num_classes=4)
        >>> images, sizes = torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([[64, 64], [48, 64]])
        >>> predictions = task.eval().predict(task(images, sizes))
        >>> predictions.boxes.shape
        torch.Size([2, 100, 4])
    """

    takes = "detection"
    batch_type: Any = DetectionBatch
    monitor = "val/map"
    monitor_mode = "max"
    rpn_type: type[RPN] = RPN  #: Class of the region proposal network; a subclass may set its own.
    roi_head_type: type[RoIHead] = RoIHead  #: Class of its heads; a subclass may set its own, with another loss.
    num_classes: int

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        proposals: Literal["rpn", "precomputed", "sliding-window"] = "rpn",
        features: Literal["shared", "per-region"] = "shared",
        weights: str | Path | None = None,
        neck: Literal["fpn", "none"] = "fpn",
        design: Literal["v1", "v2"] = "v1",
        stride: int = 4,
        fpn_width: int = 256,
        head_width: int = 1024,
        anchor_scales: Sequence[float] | None = None,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        class_agnostic: bool = False,
        cascade: bool = False,
        arithmetic: Literal["torchvision", "detectron2"] = "torchvision",
        rpn_pre_nms_top_n: TopN = (2000, 1000),
        rpn_post_nms_top_n: TopN = (2000, 1000),
        rpn_batch_size_per_image: int = 256,
        box_batch_size_per_image: int = 512,
        box_loss: RegionBoxLoss | str = "smooth_l1",
        box_score_thresh: float = 0.05,
        box_nms_thresh: float = 0.5,
        box_detections_per_img: int = 100,
        box_soft_nms: SoftNMS = "none",
        test_time_flips: Flips = "none",
        test_time_scales: Sequence[float] = (1.0,),
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        kwargs["freeze_norms"] = freezes_norms(weights, kwargs)
        super().__init__(**kwargs)
        check_range(1, math.inf, num_classes=num_classes)
        check_entries(num_classes, class_names=class_names)
        check_choices(proposals, features, neck, design, arithmetic)
        check_averaging(test_time_flips, test_time_scales)
        self.test_time_flips, self.test_time_scales = test_time_flips, tuple(test_time_scales)
        self.proposals, self.per_region = proposals, features == "per-region"
        self.aligned = arithmetic == "detectron2"
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        v2, extra = design == "v2", proposals == "rpn"
        maps = choose_maps(self.backbone, neck, stride, fpn_width, batch_norm=v2, extra=extra, alone=self.per_region)
        self.neck, self.levels, all_strides, width = maps
        self.region_strides, self.region_width = all_strides[: len(self.levels)], width
        usual = (8.0,) if neck == "fpn" else (2.0, 4.0, 8.0, 16.0, 32.0)
        scales = usual if anchor_scales is None else anchor_scales
        self.rpn = None
        if proposals == "rpn":
            self.rpn = self.rpn_type(
                width,
                Anchors(all_strides, scales, aspect_ratios, rounded=not self.aligned),
                depth=2 if v2 else 1,
                pre_nms_top_n=rpn_pre_nms_top_n,
                post_nms_top_n=rpn_post_nms_top_n,
                batch_size_per_image=rpn_batch_size_per_image,
            )
        make_head = partial(
            self.roi_head_type,
            width,
            _CELLS,
            num_classes,
            convolutions=(width,) * 4 if v2 else (),
            widths=(head_width,) if v2 else (head_width, head_width),
            class_agnostic=class_agnostic or cascade,
            batch_size_per_image=box_batch_size_per_image,
            score_thresh=box_score_thresh,
            nms_thresh=box_nms_thresh,
            detections_per_img=box_detections_per_img,
            box_loss=box_loss,
            soft_nms=box_soft_nms,
        )
        *before, last = [make_head(**stage._asdict()) for stage in STAGES] if cascade else [make_head()]
        self.cascade, self.roi_head = nn.ModuleList(before), last
        self.add_metrics({"coco": CocoAveragePrecision(num_classes)})
        self.owned_callbacks += (GradientClipping(10.0),)
        start_detector(self, weights, kwargs.get("normalization"))

    @property
    def stages(self) -> list[RoIHead]:
        """The heads that regions pass through: one, or the three of a cascade."""
        return [*self.cascade, self.roi_head]

    def inputs(self, batch: Any) -> tuple[Tensor, ...]:  # noqa: ANN401 (a batch with the fields, whatever its type)
        """Select the images, their sizes, and precomputed proposals."""
        if self.proposals != "precomputed":
            return batch.images, batch.sizes
        check_proposals(batch)
        return batch.images, batch.sizes, batch.proposals

    def forward(
        self,
        images: Images,
        sizes: Int64[Tensor, "batch 2"] | None = None,
        proposals: Float[Tensor, "batch proposals 4"] | None = None,
    ) -> DetectionOutputs:
        """Compute feature maps and proposals.

        Args:
            images: Images, padded to the right and below.
            sizes: Height and width of each image inside the padding; by default there is no padding.
            proposals: Boxes, if they are precomputed.
        """
        if sizes is None:
            sizes = torch.tensor(images.shape[-2:], device=images.device).expand(len(images), 2)
        x = self.normalize(images, sizes)
        features = [x] if self.per_region else self.features(x)
        outputs = None
        if self.rpn is not None:
            outputs = self.rpn(features)
            proposals = self.rpn.propose(outputs, sizes)
        elif self.proposals == "sliding-window":
            proposals = sliding_windows(sizes, (x.shape[-2], x.shape[-1]))
        assert proposals is not None
        return DetectionOutputs(features[: len(self.region_strides)], proposals, sizes, outputs)

    def eval_forward(
        self, *inputs: Tensor, flips: Flips | None = None, scales: Sequence[float] | None = None
    ) -> DetectionOutputs:
        """Compute what :meth:`forward` does, and that of mirrored and resized views of the images if requested."""
        outputs: DetectionOutputs = self(*inputs)
        flips, scales = flips or self.test_time_flips, scales or self.test_time_scales
        if self.fitting or (flips == "none" and tuple(scales) == (1.0,)) or not len(inputs[0]):
            return outputs
        return with_views(self, outputs, inputs[0], inputs[2:], flips, scales, multiple_of(self))

    def features(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps of normalised images, fine to coarse."""
        maps = self.backbone(images)
        features: Features = self.neck([maps[level] for level in self.levels])
        return features

    def losses(self, outputs: DetectionOutputs, batch: Any) -> dict[str, Float[Tensor, ""]]:  # noqa: ANN401 (as above)
        """Compute the losses of both stages on samples, which are random in training and fixed in evaluation.

        In training they are means over the samples of the batch, as in torchvision. In evaluation they are means over
        the images, so that the mean of a data set does not depend on the batch size.
        """
        return self.losses_and_sample(outputs, batch)[0]

    def losses_and_sample(self, outputs: DetectionOutputs, batch: Any) -> tuple[dict[str, Tensor], RegionSample]:  # noqa: ANN401 (as above)
        """Compute the losses, and the sample of regions that those of the last head are computed on."""
        targets = Targets(batch.boxes, batch.labels, batch.ignore).padded()
        read = partial(self.read, outputs.features)
        terms, sample = region_losses(self.stages, read, outputs.proposals, targets, outputs.sizes)
        if self.rpn is not None and outputs.rpn is not None:
            terms |= self.rpn.losses(outputs.rpn, targets)
        return terms, sample

    def predict(self, outputs: DetectionOutputs, score: float | None = None) -> DetectionPredictions:
        """Convert all proposals to detections.

        Args:
            outputs: What :meth:`forward` returns.
            score: Minimum score of a detection, 0 to 1; by default ``box_score_thresh``.
        """
        if not outputs.views:
            return self.roi_head.predict(*self._regions(outputs), score)
        found = [self.roi_head.candidates(*self._regions(view.outputs), score) for view in outputs.views]
        return self.roi_head.select(merged(found, outputs), len(outputs.sizes), score)

    def _regions(self, outputs: DetectionOutputs) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        images, places = torch.nonzero(is_box(outputs.proposals), as_tuple=True)
        read = partial(self.read, outputs.features)
        refined = refine(self.stages, read, outputs.proposals[images, places], images, outputs.sizes)
        return *refined, images, outputs.sizes

    def read(
        self,
        features: Features,
        boxes: Float[Tensor, "regions 4"],
        images: Int64[Tensor, " regions"],
        cells: tuple[int, int] = _CELLS,
    ) -> Float[Tensor, "regions rows columns channels"]:
        """Read the features of regions from the maps, or run the backbone on the regions."""
        if not self.per_region:
            return roi_align(features, self.region_strides, boxes, images, cells, aligned=self.aligned)
        rows, columns = (side * self.region_strides[0] for side in cells)
        return regions_alone(lambda pixels: self.features(pixels)[0], features[0], boxes, images, (rows, columns))

    def update_metrics(self, predictions: DetectionPredictions | InstancePredictions, batch: Any) -> None:  # noqa: ANN401 (as above)
        """Update the metrics of the running stage, which work in pixels of the original images."""
        self.metrics.update(predictions, batch)
