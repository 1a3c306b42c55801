"""Detection by region proposals: Faster R-CNN, Fast R-CNN and R-CNN on any backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int64
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from visiontasks.backbones.base import Features
from visiontasks.detection.anchors import Anchors
from visiontasks.detection.boxes import is_box
from visiontasks.detection.levels import pyramid_levels, single_level
from visiontasks.detection.matcher import Targets
from visiontasks.detection.published import fit_classes, read_detector
from visiontasks.detection.roi_align import roi_align
from visiontasks.detection.roi_head import RoIHead
from visiontasks.detection.rpn import RPN, RPNOutputs
from visiontasks.errors import ArgumentError, CheckpointError, near_matches
from visiontasks.metrics.coco_average_precision import CocoAveragePrecision
from visiontasks.necks.fpn import FPN
from visiontasks.state_dicts import mismatches
from visiontasks.tasks.base import Task
from visiontasks.types import DataDescription, DetectionBatch, DetectionPredictions, Images

_CELLS = (7, 7)


class DetectionOutputs(NamedTuple):
    """What the first stage leaves for the second.

    Attributes:
        features: The maps that regions are read from, fine to coarse.
        proposals: Boxes by falling likelihood, then padding.
        sizes: Height and width of each image.
        rpn: What the network of proposals says of each anchor.
    """

    features: Features
    proposals: Float[Tensor, "batch proposals 4"]
    sizes: Int64[Tensor, "batch 2"]
    rpn: RPNOutputs


class DetectionTask(Task):
    """Finds the objects in an image: a box, a class and a score for each.

    Logs ``loss`` and its four terms, COCO's figures (``map``, ``map_50``, ``mar_100`` and so on) and
    ``class_map/NAME``, see :class:`~visiontasks.metrics.coco_average_precision.CocoAveragePrecision`.

    Faster R-CNN (Ren et al., NeurIPS 2015): a network of proposals on the feature maps of the backbone, and a head that
    tells class and box of each of them. With a pyramid (Lin et al., CVPR 2017), ResNet-50 and equal weights it gives
    the detections of torchvision's ``fasterrcnn_resnet50_fpn``, and with ``design="v2"`` those of its ``_v2``.

    Args:
        num_classes: Classes, background not counted. On the command line it comes from the data.
        class_names: Their names in the order of the labels; by default the data module's, taken over at the start of a
            fit.
        weights: Weights of a whole detector to start from, see
            :func:`~visiontasks.detection.published.read_detector`; ``"fasterrcnn_resnet50_fpn"`` for those that
            torchvision has published. Outputs for other classes are left at random. A checkpoint does not need them
            again.
        neck: ``"fpn"`` for a pyramid of maps, ``"none"`` for the one map of stride 16; the stages behind it are then
            not trained.
        design: ``"v1"``, or ``"v2"`` for batch norm in the pyramid, two convolutions before the proposals, and four
            with batch norm in the head before one hidden layer (Li et al., Benchmarking detection transfer learning
            with vision transformers, 2021, section 3.2).
        stride: Least stride of the maps in the pyramid.
        width: Channels of the pyramid.
        head_width: Units of the hidden layers of the head.
        anchor_scales: Sides of the square anchors in multiples of the stride of their map; by default 8 in a pyramid,
            and 2, 4, 8, 16 and 32 on a single map.
        aspect_ratios: Heights over widths of the anchors.
        class_agnostic: Whether all classes of a proposal share one box.
        candidates: Anchors of each map that become proposals before near copies are removed, in training and in
            evaluation.
        proposal_counts: Proposals of an image, in training and in evaluation.
        anchors_drawn: Anchors of an image that the loss of the proposals is computed on.
        proposals_drawn: Proposals of an image that the loss of the head is computed on.
        score: Least score of a detection, 0 to 1.
        overlap: Intersection over union above which the less likely of two detections of a class goes.
        detections: Most detections of an image.
        **kwargs: Arguments of :class:`~visiontasks.tasks.base.Task`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or not those of this detector.
        DownloadError: If published weights are not in the cache and cannot be downloaded.

    Example:
        >>> task = DetectionTask(num_classes=4)
        >>> images, sizes = torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.tensor([[64, 64], [48, 64]])
        >>> predictions = task.eval().predict(task(images, sizes))
        >>> predictions.boxes.shape
        torch.Size([2, 100, 4])
    """

    takes = "detection"
    monitor = "val/map"
    monitor_mode = "max"

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        weights: str | Path | None = None,
        neck: Literal["fpn", "none"] = "fpn",
        design: Literal["v1", "v2"] = "v1",
        stride: int = 4,
        width: int = 256,
        head_width: int = 1024,
        anchor_scales: Sequence[float] | None = None,
        aspect_ratios: Sequence[float] = (0.5, 1.0, 2.0),
        class_agnostic: bool = False,
        candidates: tuple[int, int] = (2000, 1000),
        proposal_counts: tuple[int, int] = (2000, 1000),
        anchors_drawn: int = 256,
        proposals_drawn: int = 512,
        score: float = 0.05,
        overlap: float = 0.5,
        detections: int = 100,
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        super().__init__(**kwargs)
        _check(num_classes, class_names, {"neck": (neck, ("fpn", "none")), "design": (design, ("v1", "v2"))})
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        channels, strides = self.backbone.channels, self.backbone.strides
        if neck == "fpn":
            self.levels = pyramid_levels(strides, stride)
            self.neck: nn.Module = FPN(
                [channels[level] for level in self.levels],
                [strides[level] for level in self.levels],
                width,
                batch_norm=design == "v2",
            )
            self.region_strides, all_strides = self.neck.strides[:-1], self.neck.strides
        else:
            self.levels = [self._only_level()]
            self.neck = nn.Identity()
            width = channels[self.levels[0]]
            self.region_strides = all_strides = (strides[self.levels[0]],)
        scales = anchor_scales or ((8.0,) if neck == "fpn" else (2.0, 4.0, 8.0, 16.0, 32.0))
        self.rpn = RPN(
            width,
            Anchors(all_strides, scales, aspect_ratios),
            depth=2 if design == "v2" else 1,
            candidates=candidates,
            proposals=proposal_counts,
            drawn=anchors_drawn,
        )
        self.roi_head = RoIHead(
            width,
            _CELLS,
            num_classes,
            convolutions=(width,) * 4 if design == "v2" else (),
            widths=(head_width,) if design == "v2" else (head_width, head_width),
            class_agnostic=class_agnostic,
            drawn=proposals_drawn,
            score=score,
            overlap=overlap,
            detections=detections,
        )
        self.add_metrics({"coco": CocoAveragePrecision(num_classes)})
        if weights is not None and not self._restored:
            self._load(weights)
        self.save_instead(weights=None)

    def inputs(self, batch: DetectionBatch) -> tuple[Tensor, ...]:
        """Select the images and their sizes."""
        return batch.images, batch.sizes

    def forward(self, images: Images, sizes: Int64[Tensor, "batch 2"]) -> DetectionOutputs:
        """Compute feature maps and proposals.

        Args:
            images: Images, padded to the right and below.
            sizes: Height and width of each inside the padding.
        """
        features = self.features(images, sizes)
        outputs = self.rpn(features)
        return DetectionOutputs(features[: len(self.region_strides)], self.rpn.propose(outputs, sizes), sizes, outputs)

    def features(self, images: Images, sizes: Int64[Tensor, "batch 2"]) -> Features:
        """Compute the feature maps of images; padding is 0 to the network, whatever the mean."""
        x = self.normalize(images)
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[-2:])
        inside = (rows < sizes[:, :1])[:, None, :, None] & (columns < sizes[:, 1:])[:, None, None]
        maps = self.backbone(torch.where(inside, x, 0.0))
        found: Features = self.neck([maps[level] for level in self.levels])
        return found

    def losses(self, outputs: DetectionOutputs, batch: DetectionBatch) -> dict[str, Float[Tensor, ""]]:
        """Compute the losses of both stages on samples: random ones in training, the same ones again in evaluation."""
        targets = Targets(batch.boxes, batch.labels, batch.ignore).padded()
        sample = self.roi_head.draw(outputs.proposals, targets)
        images = torch.arange(len(sample.boxes), device=sample.boxes.device)[:, None].expand(sample.labels.shape)
        regions = self.read(outputs.features, sample.boxes.flatten(0, 1), images.flatten())
        return {
            **self.roi_head.losses(*self.roi_head(regions), sample),
            **self.rpn.losses(outputs.rpn, targets),
        }

    def predict(self, outputs: DetectionOutputs) -> DetectionPredictions:
        """Turn all proposals into detections."""
        images, places = torch.nonzero(is_box(outputs.proposals), as_tuple=True)
        boxes = outputs.proposals[images, places]
        logits, differences = self.roi_head(self.read(outputs.features, boxes, images))
        return self.roi_head.predict(logits, differences, boxes, images, outputs.sizes)

    def read(
        self, features: Features, boxes: Float[Tensor, "regions 4"], images: Int64[Tensor, " regions"]
    ) -> Float[Tensor, "regions rows columns channels"]:
        """Read the features of regions."""
        return roi_align(features, self.region_strides, boxes, images, _CELLS)

    def update_metrics(self, predictions: DetectionPredictions, batch: DetectionBatch) -> None:
        """Update the metrics of the running stage, which score in pixels of the original images."""
        self.metrics.update(predictions, batch)

    def check_data(self, data: DataDescription) -> None:
        """Check channels, the number of classes and their names; take over the names if none were given.

        Raises:
            ArgumentError: If they differ.
        """
        super().check_data(data)
        names = list(data.class_names)
        if data.num_classes != self.num_classes or (self.class_names or names) != names:
            message = (
                f"The classes of the data are {names}, the task was made for {self.class_names or self.num_classes}; "
                "expected the same, in the same order. Leave num_classes to the data, or check that these are the data "
                "that you mean."
            )
            raise ArgumentError(message)
        self.class_names = names

    def _only_level(self) -> int:
        """Choose the map of a detector without a pyramid; what the backbone computes behind it is not trained."""
        stages = self.backbone.stage_modules()
        if not stages:
            return len(self.backbone.strides) - 1
        level = single_level(self.backbone.strides)
        for stage in stages[level + 1 :]:
            for module in stage:
                module.requires_grad_(False)
        return level

    def _load(self, weights: str | Path) -> None:
        origin, tensors = read_detector(weights)
        own = self.state_dict()
        parts = ("backbone.", "neck.", "rpn.", "roi_head.")
        tensors = {key: value for key, value in tensors.items() if key.startswith(parts)}
        dropped = fit_classes(tensors, self.num_classes) if "roi_head.cls_score.bias" in tensors else False
        # Frozen batch norm does not count batches, and nothing here depends on how many there were.
        left = {key for key in own if key.endswith("num_batches_tracked") and key not in tensors}
        left |= (
            {key for key in own if key.startswith(("roi_head.cls_score", "roi_head.bbox_pred"))} if dropped else set()
        )
        expected = {key: value for key, value in own.items() if key.startswith(parts) and key not in left}
        problems = mismatches(expected, tensors, "source", "task")
        if problems:
            listed = "\n  ".join(problems)
            message = (
                f"The weights from {origin} are not those of this detector; nothing was loaded:\n  {listed}\nCreate "
                "the task with the backbone, neck and design that they were made with: 'resnet50', 'fpn' and 'v1' or "
                "'v2' for torchvision's."
            )
            raise CheckpointError(message)
        self.load_state_dict({**own, **tensors})
        classes = "; its outputs are for other classes, and were left out" if dropped else ""
        rank_zero_info(f"Weights of the detector from {origin}{classes}.")


def _check(
    num_classes: int, class_names: Sequence[str] | None, choices: dict[str, tuple[str, tuple[str, ...]]]
) -> None:
    if num_classes < 1:
        message = f"num_classes is {num_classes}; expected at least 1."
        raise ArgumentError(message)
    if class_names is not None and len(class_names) != num_classes:
        message = f"class_names has {len(class_names)} entries for num_classes={num_classes}; expected one per class."
        raise ArgumentError(message)
    for name, (value, known) in choices.items():
        if value not in known:
            message = f"{name} is {value!r}. {near_matches(value, known)}"
            raise ArgumentError(message)
