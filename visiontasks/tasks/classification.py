"""Image classification: one class per image, or several."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.description import CountsClasses
from visiontasks.errors import ArgumentError, check_range
from visiontasks.heads.auxiliary import AuxiliaryHead
from visiontasks.heads.classification import ClassificationHead, Pool
from visiontasks.heads.decision import Decision
from visiontasks.losses.classification import Mode, balanced_weights, check_mode, classification_loss
from visiontasks.metrics.classification import classification_metrics
from visiontasks.tasks.agreement import check_entries
from visiontasks.tasks.averaging import Flips, average_logits, check_averaging, views_of
from visiontasks.tasks.calibration import Calibration
from visiontasks.tasks.mixing import Mixing
from visiontasks.tasks.record import replace_hyperparameters
from visiontasks.tasks.task import Task
from visiontasks.types import ClassificationBatch, ClassificationPredictions, Images

Outputs = Float[Tensor, "batch outputs"] | Float[Tensor, "batch classifiers outputs"]


class ClassificationTask(Task):
    """Predicts the class of an image, or each of several classes that it belongs to.

    Logs ``loss``, ``accuracy`` (top-1), ``accuracy_top5`` (more than five classes), ``f1`` (macro: the mean over the
    classes), ``class_accuracy/NAME`` for each class and ``calibration_error``; in training only ``accuracy``. Other
    modes log ``map`` (mean average precision), ``ap/NAME`` for each class, ``f1`` and ``accuracy`` of their decisions,
    and ``calibration_error``; in training only ``f1`` and ``accuracy``.

    Batches are :class:`~visiontasks.types.ClassificationBatch`, or pairs (images, labels) as a plain DataLoader over a
    torchvision data set yields them.

    Args:
        num_classes: Number of classes, background not counted. On the command line it is taken from the data.
        class_names: Their names in the order of the labels; by default the data module's, adopted at the start of a
            fit.
        mode: ``"multiclass"``: one class per image, by softmax; two classes are possible. ``"multilabel"``: any number
            of classes per image, by a sigmoid each; labels are [B, num_classes], 0 or 1; a single class is possible.
            ``"binary"``: two classes with one sigmoid for the second, a threshold and average precision, for a rare
            second class.
        thresholds: Minimum probability, 0 to 1, at which a class is predicted (binary: the second class), one for all
            classes or one for each; ``"best_f1"`` chooses those with the best F1 after every validation of a fit and
            saves them in the checkpoint.
        dropout: Probability that a pooled feature is dropped in training, 0 to 1.
        pool: How the coarsest feature map is pooled, ``"average"`` or ``"max"``.
        pool_size: Side of the grid that the feature map is pooled to; 1 for global pooling. See
            :class:`~visiontasks.heads.classification.ClassificationHead`.
        label_smoothing: Share of the target that is spread over all classes, 0 to 1 (Szegedy et al. 2016, section 7);
            in other modes over the two outcomes of each class.
        focal_gamma: Gamma of the focal loss, such as 2, which down-weights images that are already classified well (Lin
            et al. 2017); 0 for cross-entropy.
        class_weights: Weight of each class in the loss; equal by default. ``"balanced"`` gives rare classes higher
            weights, computed from the training images of the data module, see
            :func:`~visiontasks.losses.classification.balanced_weights`; the weights are saved in the checkpoint.
            Multilabel: weight of the images with the class relative to those without. The weighted sum is divided by
            the number of images; torch divides by the sum of their weights, so that the contribution of an image
            depends on the rest of its batch.
        auxiliary_weight: Weight of the loss of each auxiliary classifier of the Inception networks, such as 0.3
            (Szegedy et al. 2015, section 5); 0 for none. With auxiliary classifiers, ``forward`` returns the logits of
            all classifiers in one tensor, the final one first, in both training and evaluation.
        mixup: Alpha of mixup, such as 0.2; 0 for none. See :class:`~visiontasks.tasks.mixing.Mixing`.
        cutmix: Alpha of CutMix, such as 1; 0 for none. With both, each batch uses either with equal probability.
        calibrate: Whether a temperature is fitted after every validation of a fit, see
            :func:`~visiontasks.metrics.calibration.fit_temperature`. It is saved in the checkpoint and used for
            predictions, but not for the loss, the accuracy, and what the validations of the fit log.
        test_time_flips: Mirror images whose probabilities are averaged with those of the image in ``validate``,
            ``test`` and prediction: ``"horizontal"``, ``"vertical"``, ``"both"`` (four views) or ``"none"``. The
            validations of a fit look at the image alone, unless a temperature or thresholds are fitted to them.
        test_time_shift: Pixels by which the image is shifted in the eight directions, whose probabilities are averaged
            likewise (nine views); 0 for none.
        **kwargs: Arguments of :class:`~visiontasks.tasks.task.Task`.

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
    batch_type = ClassificationBatch
    monitor = "val/accuracy"
    monitor_mode = "max"

    num_classes: int
    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        mode: Mode = "multiclass",
        thresholds: Literal["best_f1"] | float | Sequence[float] = 0.5,
        dropout: float = 0.0,
        pool: Pool = "average",
        pool_size: int = 1,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Literal["balanced"] | Sequence[float] | None = None,
        auxiliary_weight: float = 0.0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        calibrate: bool = False,
        test_time_flips: Flips = "none",
        test_time_shift: int = 0,
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        super().__init__(**kwargs)
        check_mode(mode, num_classes)
        self.balanced = isinstance(class_weights, str) and class_weights == "balanced"
        numbers = None if self.balanced else class_weights
        check_entries(num_classes, class_names=class_names, class_weights=numbers)
        check_range(0, math.inf, focal_gamma=focal_gamma, auxiliary_weight=auxiliary_weight)
        check_range(0, 1, label_smoothing=label_smoothing, dropout=dropout)
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        self.mode: Mode = mode
        if mode != "multiclass":
            self.takes = "multilabel classification" if mode == "multilabel" else "classification"
            self.monitor = "val/map"
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        weights = None if numbers is None else torch.tensor([float(weight) for weight in numbers])
        # Balanced weights are measured when a fit begins, after callbacks that copy the model have seen the buffer.
        measured = torch.ones(num_classes) if self.balanced else None
        self.register_buffer("class_weights", measured if self.balanced else weights, persistent=False)
        outputs = 1 if mode == "binary" else num_classes
        self.head = ClassificationHead(self.backbone.channels, outputs, dropout, pool, pool_size)
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
            self.auxiliary_heads.extend(AuxiliaryHead(count, outputs) for count in channels)
        self.mixing = Mixing(mixup, cutmix, num_classes)
        check_averaging(test_time_flips, shift=test_time_shift)
        self.test_time_flips = test_time_flips
        self.test_time_shift = test_time_shift
        self.decision = Decision(mode, num_classes, thresholds, calibrate=calibrate)
        self._calibration = Calibration(self.decision)
        self.owned_callbacks += (self._calibration,)
        always, evaluated = classification_metrics(mode, num_classes)
        self.add_metrics(always, stages=("train", "val", "test"))
        self.add_metrics(evaluated)

    def forward(self, images: Images) -> Outputs:
        """Compute logits, in float32 for any precision.

        Args:
            images: Images, shape [B, C, H, W].

        Returns:
            Logits, shape [B, num_classes] ([B, 1] in binary mode); with auxiliary classifiers [B, 1 + auxiliaries,
            num_classes].
        """
        normalized = self.normalize(images)
        if not self.auxiliary_heads:
            logits: Tensor = self.head(self.backbone(normalized))
            return logits.float()
        features, maps = self.backbone.forward_auxiliary(normalized)
        auxiliary = [head(x) for head, x in zip(self.auxiliary_heads, maps, strict=True)]
        return torch.stack([self.head(features), *auxiliary], 1).float()

    def eval_forward(self, images: Images) -> Outputs:
        """Compute logits for evaluation and prediction, averaged over mirrored and shifted images if requested."""
        if self.fitting and not self.decision.fitted:
            outputs: Outputs = self(images)
            return outputs
        views = [self(view) for view in views_of(images, self.test_time_flips, self.test_time_shift)]
        return views[0] if len(views) == 1 else average_logits(views, softmax=self.mode == "multiclass")

    def losses(self, outputs: Outputs, batch: ClassificationBatch) -> dict[str, Float[Tensor, ""]]:
        """Compute the cross-entropy or focal loss of the logits, and the weighted loss of each auxiliary classifier."""
        logits, *auxiliary = outputs.unbind(1) if self.auxiliary_heads else [outputs]
        terms = {"focal" if self.focal_gamma else "cross_entropy": self._loss(logits, batch)}
        for index, other in enumerate(auxiliary, 1):
            terms[f"auxiliary{index}"] = self.auxiliary_weight * self._loss(other, batch)
        return terms

    def _loss(self, logits: Tensor, batch: ClassificationBatch) -> Tensor:
        return classification_loss(
            logits, batch.labels, self.mode, self.class_weights, self.label_smoothing, self.focal_gamma
        )

    def predict(self, outputs: Outputs) -> ClassificationPredictions:
        """Convert the final classifier's logits to probabilities, predicted classes and their probabilities."""
        predictions: ClassificationPredictions = self.decision(self.class_logits(outputs))
        return predictions

    def class_logits(self, outputs: Outputs) -> Tensor:
        """Select the final classifier's logits."""
        return outputs[:, 0] if self.auxiliary_heads else outputs

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 (whatever a user's loader yields)
        """Mix the images of the batch if requested, and compute the loss."""
        if self.mixing:
            batch = self.mixing(self.as_batch(batch))
        return super().training_step(batch, batch_idx)

    def update_metrics(self, predictions: ClassificationPredictions, batch: ClassificationBatch) -> None:
        """Update the metrics of the running stage; a mixed image counts as the class with the largest share."""
        labels, decisions = batch.labels, predictions.labels
        if labels.is_floating_point():
            labels = (labels >= 0.5).to(torch.uint8) if self.mode == "multilabel" else labels.argmax(1)
        if self.mode == "multiclass":
            self.metrics.update(predictions.probabilities, labels)
        elif self.mode == "multilabel":
            self.metrics.update(predictions.probabilities, labels, decisions=decisions)
        else:
            self.metrics.update(predictions.probabilities[:, 1:], labels[:, None], decisions=decisions[:, None])

    def update_from_outputs(self, outputs: Outputs, batch: ClassificationBatch) -> None:
        """Store the logits that the decision is fitted to."""
        self._calibration.update(self.trainer, self.class_logits(outputs), batch.labels)

    def measure(self, data: Any) -> None:  # noqa: ANN401 (any data module, or None)
        """Count the classes of the training data for balanced class weights.

        Raises:
            ArgumentError: If there are no data whose classes can be counted.
        """
        if not self.balanced:
            return
        if not isinstance(data, CountsClasses):
            message = (
                "class_weights 'balanced' counts the classes of the training data, and there is no data module "
                "that does. Train with a VisionDataModule, or give a list of numbers."
            )
            raise ArgumentError(message)
        assert self.class_weights is not None
        self.class_weights.copy_(balanced_weights(data.class_counts(), self.mode))
        replace_hyperparameters(self, class_weights=self.class_weights)
