"""Image classification: one class per image."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from visiontasks.errors import ArgumentError
from visiontasks.heads.auxiliary import AuxiliaryHead
from visiontasks.heads.classification import ClassificationHead, Pool
from visiontasks.metrics.class_accuracy import ClassAccuracy
from visiontasks.tasks.agreement import check_classes
from visiontasks.tasks.base import Task
from visiontasks.types import ClassificationBatch, ClassificationPredictions, DataDescription, Images

Outputs = Float[Tensor, "batch classes"] | Float[Tensor, "batch classifiers classes"]


class ClassificationTask(Task):
    """Says which one of several classes an image belongs to.

    Logs ``loss``, ``accuracy`` (top-1), ``accuracy_top5`` (more than five classes), ``f1`` (macro: the mean over the
    classes) and ``class_accuracy/NAME`` for each class, in training ``accuracy`` only.

    Batches are :class:`~visiontasks.types.ClassificationBatch`, or any pair (images, labels) such as a plain DataLoader
    over a torchvision data set yields.

    Args:
        num_classes: Classes, background not counted. On the command line it comes from the data.
        class_names: Their names in the order of the labels; by default the data module's, taken over at the start of a
            fit.
        dropout: Probability that a pooled feature is dropped in training, 0 to 1.
        pool: How the coarsest feature map is pooled, ``"average"`` or ``"max"``.
        pool_size: Places along each side that it is pooled to; 1 for all places together. See
            :class:`~visiontasks.heads.classification.ClassificationHead`.
        label_smoothing: Share of the target that is spread over all classes, 0 to 1 (Szegedy et al. 2016, section 7).
        class_weights: Weight of each class in the loss; equal by default. The weighted sum is divided by the number of
            images; torch divides by the sum of their weights, so that an image counts for more among light classes.
        auxiliary_weight: Weight of the loss of each auxiliary classifier of the Inception networks, such as 0.3
            (Szegedy et al. 2015, section 5); 0 for none. With them, ``forward`` gives the logits of all classifiers in
            one tensor, the final one first, in training and evaluation alike.
        **kwargs: Arguments of :class:`~visiontasks.tasks.base.Task`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.

    Example:
        >>> import torch
        >>> task = ClassificationTask(num_classes=4, class_names=["circle", "square", "triangle", "star"])
        >>> predictions = task.predict(task(torch.zeros(2, 3, 32, 32, dtype=torch.uint8)))
        >>> predictions.probabilities.shape
        torch.Size([2, 4])
    """

    takes = "classification"
    monitor = "val/accuracy"
    monitor_mode = "max"

    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        dropout: float = 0.0,
        pool: Pool = "average",
        pool_size: int = 1,
        label_smoothing: float = 0.0,
        class_weights: Sequence[float] | None = None,
        auxiliary_weight: float = 0.0,
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        super().__init__(**kwargs)
        for name, values in (("class_names", class_names), ("class_weights", class_weights)):
            if values is not None and len(values) != num_classes:
                message = f"{name} has {len(values)} entries for num_classes={num_classes}; expected one per class."
                raise ArgumentError(message)
        if num_classes < 1:
            message = f"num_classes is {num_classes}; expected at least 1."
            raise ArgumentError(message)
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        self.label_smoothing = label_smoothing
        weights = None if class_weights is None else torch.tensor([float(weight) for weight in class_weights])
        self.register_buffer("class_weights", weights, persistent=False)
        self.head = ClassificationHead(self.backbone.channels, num_classes, dropout, pool, pool_size)
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_heads = nn.ModuleList()
        if auxiliary_weight:
            if not self.backbone.auxiliary_channels:
                message = (
                    f"auxiliary_weight is {auxiliary_weight}, but the backbone has no maps for auxiliary classifiers; "
                    "googlenet and inception_v3 have."
                )
                raise ArgumentError(message)
            channels = self.backbone.auxiliary_channels
            self.auxiliary_heads.extend(AuxiliaryHead(count, num_classes) for count in channels)
        accuracy = MulticlassAccuracy(num_classes, average="micro", validate_args=False)
        self.add_metrics({"accuracy": accuracy}, stages=("train", "val", "test"))
        self.add_metrics(
            {
                "f1": MulticlassF1Score(num_classes, average="macro", validate_args=False),
                "class_accuracy": ClassAccuracy(num_classes, average=None, validate_args=False),
            }
        )
        if num_classes > 5:
            top5 = MulticlassAccuracy(num_classes, top_k=5, average="micro", validate_args=False)
            self.add_metrics({"accuracy_top5": top5})

    def forward(self, images: Images) -> Outputs:
        """Compute logits in float32 whatever the precision.

        Args:
            images: Images, shape [B, C, H, W].

        Returns:
            Logits, shape [B, num_classes]; with auxiliary classifiers [B, 1 + auxiliaries, num_classes].
        """
        normalized = self.normalize(images)
        if not self.auxiliary_heads:
            logits: Tensor = self.head(self.backbone(normalized))
            return logits.float()
        features, maps = self.backbone.forward_auxiliary(normalized)
        auxiliary = [head(x) for head, x in zip(self.auxiliary_heads, maps, strict=True)]
        return torch.stack([self.head(features), *auxiliary], 1).float()

    def losses(self, outputs: Outputs, batch: ClassificationBatch) -> dict[str, Float[Tensor, ""]]:
        """Compute the cross-entropy of the logits, and that of each auxiliary classifier, weighted."""
        logits, *auxiliary = outputs.unbind(1) if self.auxiliary_heads else [outputs]
        terms = {"cross_entropy": self._cross_entropy(logits, batch)}
        for index, other in enumerate(auxiliary, 1):
            terms[f"auxiliary{index}"] = self.auxiliary_weight * self._cross_entropy(other, batch)
        return terms

    def _cross_entropy(self, logits: Tensor, batch: ClassificationBatch) -> Tensor:
        return F.cross_entropy(
            logits, batch.labels, self.class_weights, reduction="none", label_smoothing=self.label_smoothing
        ).mean()

    def predict(self, outputs: Outputs) -> ClassificationPredictions:
        """Turn the final classifier's logits into probabilities, the most probable class and its probability."""
        logits = outputs[:, 0] if self.auxiliary_heads else outputs
        probabilities = logits.softmax(1)
        scores, labels = probabilities.max(1)
        return ClassificationPredictions(probabilities, labels, scores)

    def update_metrics(self, predictions: ClassificationPredictions, batch: ClassificationBatch) -> None:
        """Update the metrics of the running stage with probabilities and labels."""
        self.metrics.update(predictions.probabilities, batch.labels)

    def as_batch(self, batch: Any) -> Any:  # noqa: ANN401 (whatever a user's loader yields)
        """Name the fields of a plain pair (images, labels); other batches stay as they are."""
        if not hasattr(batch, "images") and isinstance(batch, list | tuple) and len(batch) == 2:
            images, labels = batch
            return ClassificationBatch(images, labels, torch.arange(len(labels)))
        return batch

    def check_data(self, data: DataDescription) -> None:
        """Check channels, the number of classes and their names; take over the names if none were given.

        Raises:
            ArgumentError: If they differ.
        """
        super().check_data(data)
        self.class_names = check_classes(data, self.num_classes, self.class_names)
