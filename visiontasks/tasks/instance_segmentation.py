"""Instance segmentation: a mask for each object that a detector finds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.backbones.backbone import Features
from visiontasks.detection.mask_head import MaskHead, mask_loss, of_class, positives
from visiontasks.detection.mask_targets import crop_masks
from visiontasks.detection.outputs import DetectionOutputs, DetectionView
from visiontasks.errors import ArgumentError
from visiontasks.metrics.mask_average_precision import MaskAveragePrecision
from visiontasks.tasks.averaging import flip
from visiontasks.tasks.detection import DetectionTask
from visiontasks.tasks.detection_views import in_view
from visiontasks.tasks.detector_weights import freezes_norms, start_detector
from visiontasks.types import DetectionPredictions, InstanceBatch, InstancePredictions

_CELLS = (14, 14)
_SIDE = 2 * _CELLS[0]
_AT_ONCE = 256
"""Regions whose masks are predicted at a time."""


class InstanceSegmentationTask(DetectionTask):
    """Finds the objects in an image: a box, a class, a score and a mask for each.

    Mask R-CNN (He et al., ICCV 2017): a :class:`~visiontasks.tasks.detection.DetectionTask`, whose arguments and logged
    values it has, and a branch that predicts a mask of 28 x 28 in the box of each object. The masks of the regions that
    the box head learns from are learnt (``loss_mask``); masks are predicted of the final boxes. With a pyramid,
    ResNet-50 and equal weights, boxes, scores and masks equal those of torchvision's ``maskrcnn_resnet50_fpn``, and
    with ``design="v2"`` those of its ``_v2``. Logs ``mask_map``, ``mask_map_50`` and so on besides.

    Args:
        num_classes: Number of classes, background not counted. On the command line it is taken from the data.
        class_names: Their names in the order of the labels; by default those of the data module.
        weights: As in :class:`~visiontasks.tasks.detection.DetectionTask`; ``"maskrcnn_resnet50_fpn"`` and
            ``"maskrcnn_resnet50_fpn_v2"`` for those that torchvision publishes. The mask branch of weights without one
            stays randomly initialised.
        mask_widths: Filters of the 3x3 convolutions of the mask branch.
        mask_class_agnostic: Whether all classes of a region share one mask.
        **kwargs: Arguments of :class:`~visiontasks.tasks.detection.DetectionTask`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or do not fit this detector.
        DownloadError: If published weights are not in the cache and cannot be downloaded.

    Example:
        >>> task = InstanceSegmentationTask(num_classes=4)
        >>> predictions = task.eval().predict(task(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)))
        >>> predictions.masks.shape
        torch.Size([2, 100, 28, 28])
    """

    takes = "instances"
    batch_type = InstanceBatch
    monitor = "val/mask_map"

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        weights: str | Path | None = None,
        mask_widths: Sequence[int] = (256, 256, 256, 256),
        mask_class_agnostic: bool = False,
        **kwargs: Any,  # noqa: ANN401 (the arguments of DetectionTask)
    ) -> None:
        kwargs["freeze_norms"] = freezes_norms(weights, kwargs)
        super().__init__(num_classes, class_names, **kwargs)
        v2 = kwargs.get("design") == "v2"
        self.mask_head = MaskHead(
            self.region_width, num_classes, mask_widths, batch_norm=v2, class_agnostic=mask_class_agnostic
        )
        self.add_metrics({"masks": MaskAveragePrecision(num_classes)})
        start_detector(self, weights, kwargs.get("normalization"))

    def losses(self, outputs: DetectionOutputs, batch: Any) -> dict[str, Float[Tensor, ""]]:  # noqa: ANN401 (a batch with the fields, whatever its type)
        """Compute the losses of the detector, and that of the masks: ``mask``.

        Raises:
            ArgumentError: If the batch has no masks.
        """
        if not hasattr(batch, "mask_bits"):
            message = (
                f"{type(self).__name__} learns from masks, and a {type(batch).__name__} has none. Use data of "
                "instances (--data.task instances), or DetectionTask."
            )
            raise ArgumentError(message)
        terms, sample = self.losses_and_sample(outputs, batch)
        known = (batch.mask_windows[..., 2:] > batch.mask_windows[..., :2]).all(-1)
        if not known.shape[1]:
            known = known.new_zeros(len(known), 1)
        limit = self.roi_head.sampler.most_positives
        chosen = positives(sample, known, self.num_classes, limit, per_image=not self.training)
        targets = self._targets(chosen.boxes, chosen.matches, outputs.sizes, batch).flatten(0, 1)
        boxes, images = chosen.flat()
        fields: tuple[Tensor, ...] = (boxes, images, chosen.labels.flatten(), targets, chosen.weight.flatten())
        if boxes.device.type == "cpu":
            # Elsewhere this would wait for the number of regions. One stays, so that all layers have a gradient.
            used = fields[-1].nonzero().flatten()
            used = used if len(used) else torch.arange(min(1, len(boxes)))
            fields = tuple(field[used] for field in fields)
        boxes, images, labels, targets, weight = fields
        logits = self.mask_logits(outputs.features, boxes, images)
        return {**terms, "mask": mask_loss(logits, labels, targets, weight)}

    def _targets(
        self,
        boxes: Float[Tensor, "batch regions 4"],
        objects: Int64[Tensor, "batch regions"],
        sizes: Int64[Tensor, "batch 2"],
        batch: Any,  # noqa: ANN401 (as above)
    ) -> Float[Tensor, "batch regions side side"]:
        """Cut the true masks out to regions, which are in pixels of the batch's images."""
        height, width = batch.images.shape[-2:]
        limits = (int(height), int(width))
        if not self.training and len(sizes):
            # The masks of an evaluation are those of the original images.
            rows, columns = batch.mask_sizes.amax(0).tolist()
            limits = (max(limits[0], rows), max(limits[1], columns))
        if not batch.mask_windows.shape[1]:
            return boxes.new_zeros(*boxes.shape[:2], _SIDE, _SIDE)
        factors = (batch.mask_sizes / sizes).flip(-1).repeat(1, 2)[:, None]
        masks = batch.mask_bits, batch.mask_windows, batch.mask_sizes
        return crop_masks(*masks, boxes * factors, objects, limits, _SIDE)

    def mask_logits(
        self, features: Features, boxes: Float[Tensor, "regions 4"], images: Int64[Tensor, " regions"]
    ) -> Float[Tensor, "regions masks rows columns"]:
        """Compute the logits of the masks of regions."""
        logits: Tensor = self.mask_head(self.read(features, boxes, images, _CELLS))
        return logits

    def predict(self, outputs: DetectionOutputs, score: float | None = None) -> InstancePredictions:  # type: ignore[override]  # masks besides
        """Convert all proposals to detections, and predict their masks.

        Args:
            outputs: What :meth:`forward` returns.
            score: Minimum score of a detection, 0 to 1; by default ``box_score_thresh``.
        """
        detections = super().predict(outputs, score)
        with torch.no_grad():
            return InstancePredictions(*detections, self._masks(outputs, detections))

    def _masks(
        self, outputs: DetectionOutputs, detections: DetectionPredictions
    ) -> Float[Tensor, "batch detections rows columns"]:
        """Predict the masks of detections; of several views of the images, average them."""
        images, places = torch.nonzero(detections.labels >= 0, as_tuple=True)
        boxes, labels = detections.boxes[images, places], detections.labels[images, places]
        masks = boxes.new_zeros(*detections.labels.shape, _SIDE, _SIDE)
        views = outputs.views or (DetectionView(outputs, ()),)
        for at_once in torch.arange(len(boxes), device=boxes.device).split(_AT_ONCE):
            total = boxes.new_zeros(len(at_once), _SIDE, _SIDE)
            owners = images[at_once]
            for view in views:
                seen = in_view(boxes[at_once], owners, view, outputs.sizes)
                logits = self.mask_logits(view.outputs.features, seen, owners)
                total += flip(of_class(logits, labels[at_once]).sigmoid(), view.axes)
            masks[owners, places[at_once]] = total / len(views)
        return masks
