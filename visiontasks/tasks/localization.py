"""Localization: one class and one box per image."""

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from torch import Tensor, nn

from visiontasks.backbones.backbone import Features
from visiontasks.errors import ArgumentError, check_choice, check_range
from visiontasks.heads.localization import HEADS, Head
from visiontasks.import_paths import import_maker
from visiontasks.losses.box import BoxLoss, box_loss
from visiontasks.losses.factors import own_loss
from visiontasks.metrics.localization import localization_metrics
from visiontasks.tasks.agreement import check_entries
from visiontasks.tasks.task import Task
from visiontasks.types import Images, LocalizationBatch, LocalizationPredictions


class LocalizationOutputs(NamedTuple):
    """Raw outputs of a localization.

    Attributes:
        logits: Logit of each class.
        boxes: One box, or one per class: xyxy as shares of the image's width and height; may reach outside the image.
        size: Height and width of the images in pixels.
    """

    logits: Float32[Tensor, "batch classes"]
    boxes: Float32[Tensor, "batch boxes 4"]
    size: tuple[int, int]


class LocalizationTask(Task):
    """Predicts the class of the object in an image, and one box around it.

    The loss is the sum of two terms. ``classification`` is the cross-entropy. ``box`` is the loss of the box, in units
    of the image's longer side. Both are means over the images of a batch, whether they have an object or not. An image
    without an object (label -1) adds nothing to ``box``; its target in ``classification`` is the same probability for
    every class, so that the class head learns to be undecided, and a low score indicates that there may be no object
    (Hendrycks et al., Deep anomaly detection with outlier exposure, ICLR 2019, section 4). With a single class the
    score is always 1, and such images have no effect.

    Logs ``localization_error`` (ILSVRC's: class or box wrong), ``accuracy`` (class correct), ``mean_iou``, ``iou_50``
    and ``iou_75`` (share of boxes with at least that IoU, for any class), and with more than five classes
    ``localization_error_top5`` and ``accuracy_top5``. Images without an object count for none of them.

    Batches are :class:`~visiontasks.types.LocalizationBatch`.

    Args:
        num_classes: Number of classes, background not counted. On the command line it is taken from the data.
        class_names: Their names in the order of the labels; by default the data module's, adopted at the start of a
            fit.
        head: ``"attention"``, which keeps positions (:class:`~visiontasks.heads.localization.AttentionHead`), or
            ``"pooled"`` (:class:`~visiontasks.heads.localization.PooledHead`). Each documents how a box is
            parametrised. A name with a dot is the import path of a module of your own with the same arguments.
        box_loss: ``"smooth_l1"``, ``"l1"``, ``"iou"``, ``"giou"``, ``"diou"`` or ``"ciou"``, or the import path of a
            function of your own, see :func:`~visiontasks.losses.box.box_loss`.
        box_weight: Weight of the box loss.
        classification_weight: Weight of the classification loss.
        class_agnostic: Whether one box is predicted for all classes; otherwise each class has its own: the box of the
            true class is trained, and that of the most probable class is predicted.
        dropout: Probability that an input feature of the class head is dropped in training, 0 to 1.
        label_smoothing: Share of the target that is spread over all classes, 0 to 1.
        class_weights: Weight of each class in the classification loss; equal by default.
        **kwargs: Arguments of :class:`~visiontasks.tasks.task.Task`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.

    Example:
        >>> task = LocalizationTask(num_classes=4).eval()
        >>> predictions = task.predict(task(torch.zeros(2, 3, 32, 48, dtype=torch.uint8)))
        >>> predictions.labels.shape, predictions.boxes.shape
        (torch.Size([2]), torch.Size([2, 4]))
    """

    takes = "localization"
    batch_type = LocalizationBatch
    monitor = "val/localization_error"
    monitor_mode = "min"

    num_classes: int
    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        head: Head | str = "attention",
        box_loss: BoxLoss | str = "giou",
        box_weight: float = 1.0,
        classification_weight: float = 1.0,
        class_agnostic: bool = True,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        super().__init__(**kwargs)
        check_entries(num_classes, class_names=class_names, class_weights=class_weights)
        check_range(0, 1, label_smoothing=label_smoothing, dropout=dropout)
        if num_classes < 1 or box_weight < 0 or classification_weight < 0:
            message = (
                f"num_classes is {num_classes}, box_weight {box_weight} and classification_weight "
                f"{classification_weight}; expected at least 1 class, and weights of at least 0."
            )
            raise ArgumentError(message)
        if "." not in head:
            check_choice("head", head, HEADS)
        make_head: Any = import_maker(head, nn.Module) if "." in head else HEADS[head]
        if "." in box_loss:
            own_loss(box_loss)
        else:
            check_choice("box_loss", box_loss, get_args(BoxLoss))
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        self.box_loss = box_loss
        self.box_weight = box_weight
        self.classification_weight = classification_weight
        self.class_agnostic = class_agnostic
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor([float(weight) for weight in class_weights])
        self.register_buffer("class_weights", weights, persistent=False)
        self.head = make_head(self.backbone.channels, num_classes, 1 if class_agnostic else num_classes, dropout)
        self.add_metrics(localization_metrics(num_classes))

    def forward(self, images: Images) -> LocalizationOutputs:
        """Compute logits and boxes, in float32 for any precision.

        Args:
            images: Images, shape [B, C, H, W].
        """
        return self.locate(self.backbone(self.normalize(images)), images)

    def locate(self, features: Features, images: Images) -> LocalizationOutputs:
        """Compute logits and boxes from feature maps, for a subclass that reads more from them.

        Args:
            features: Feature maps of the backbone.
            images: The images that they were computed from.
        """
        logits, boxes = self.head(features)
        return LocalizationOutputs(logits.float(), boxes, (images.shape[-2], images.shape[-1]))

    def losses(self, outputs: LocalizationOutputs, batch: Any) -> dict[str, Float[Tensor, ""]]:  # noqa: ANN401 (see Args)
        """Compute the weighted losses of class and box, as means over all images of the batch.

        Args:
            outputs: What :meth:`forward` returns.
            batch: A :class:`~visiontasks.types.LocalizationBatch`, or a tuple of your own with more fields.
        """
        # Images are not selected by a mask, because the host would have to wait for their number.
        has_object, labels = batch.labels >= 0, batch.labels.clamp(min=0)
        weights = None if self.class_weights is None else self.class_weights.to(outputs.logits.dtype)
        known = F.cross_entropy(outputs.logits, labels, weights, reduction="none", label_smoothing=self.label_smoothing)
        undecided = -outputs.logits.log_softmax(1).mean(1)
        height, width = outputs.size
        longer = max(height, width)
        predicted = _stretch(self._box_of(outputs.boxes, labels), height / longer, width / longer)
        # Without an object any box works whose loss has a finite gradient, which is multiplied by 0.
        target = torch.where(has_object[:, None], batch.boxes.float() / longer, predicted.detach())
        box = box_loss(predicted, target, self.box_loss) * has_object
        return {
            "classification": self.classification_weight * torch.where(has_object, known, undecided).mean(),
            "box": self.box_weight * box.mean(),
        }

    def predict(self, outputs: LocalizationOutputs) -> LocalizationPredictions:
        """Predict the most probable class and its box, clipped to the image, in pixels of the network's input."""
        probabilities = outputs.logits.softmax(1)
        scores, labels = probabilities.max(1)
        boxes = _stretch(outputs.boxes.clamp(0, 1), *outputs.size)
        class_boxes = boxes.expand(-1, self.num_classes, -1)
        return LocalizationPredictions(probabilities, labels, scores, self._box_of(boxes, labels), class_boxes)

    def update_metrics(self, predictions: LocalizationPredictions, batch: Any) -> None:  # noqa: ANN401 (as above)
        """Update the metrics of the running stage; each receives the values below that it takes by name.

        The values are ``probabilities``, ``class_boxes``, ``labels`` and ``boxes`` as in
        :mod:`visiontasks.metrics.localization`, and ``preds`` and ``target``, the names that classification metrics use
        for probabilities and labels (-1, to be ignored, for images without an object).
        """
        self.metrics.update(
            probabilities=predictions.probabilities,
            class_boxes=predictions.class_boxes,
            labels=batch.labels,
            boxes=batch.boxes,
            preds=predictions.probabilities,
            target=batch.labels,
        )

    def _box_of(self, boxes: Tensor, labels: Tensor) -> Tensor:
        """Select the box of the given class in each image, [B, 4]."""
        if self.class_agnostic:
            return boxes[:, 0]
        return boxes.gather(1, labels[:, None, None].expand(-1, 1, 4))[:, 0]


def _stretch(boxes: Tensor, height: float, width: float) -> Tensor:
    """Multiply x by the width and y by the height."""
    x, y = boxes.unflatten(-1, (2, 2)).unbind(-1)
    return torch.stack([x * width, y * height], -1).flatten(-2)
