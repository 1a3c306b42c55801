"""Semantic segmentation: a class for every pixel."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from visiontasks.backbones import Backbone
from visiontasks.decoders import Decoder, create_decoder
from visiontasks.decoders.upsampling import enlarge
from visiontasks.decoders.weights import load_segmentation, read_segmentation
from visiontasks.errors import ArgumentError, check_choice, check_range
from visiontasks.heads.segmentation import PixelHead
from visiontasks.losses.classification import Mode
from visiontasks.losses.segmentation import LossName, SegmentationLoss
from visiontasks.metrics.confusion import ConfusionMatrix, MultilabelConfusion
from visiontasks.tasks.agreement import check_entries, check_masks
from visiontasks.tasks.averaging import Flips, Probabilities, average_probabilities, check_averaging
from visiontasks.tasks.starting import start_network
from visiontasks.tasks.task import Task
from visiontasks.tasks.views import scale_of
from visiontasks.types import Images, SegmentationBatch, SegmentationPredictions

Logits = Float[Tensor, "batch outputs height width"]
Outputs = Logits | tuple[Logits, Float[Tensor, "batch outputs _ _"]]


class SegmentationTask(Task):
    """Predicts the class of every pixel.

    Logs ``loss``, ``miou`` (mean intersection over union), ``iou/NAME`` of each class, ``accuracy`` (share of correct
    pixels) and ``mean_accuracy`` (per-class share of correct pixels, averaged over the classes), see
    :func:`~visiontasks.metrics.confusion.segmentation_scores`.

    Args:
        num_classes: Number of values that a pixel can have, including a background; multilabel: number of classes. On
            the command line it is taken from the data.
        class_names: Their names in the order of the values; by default the data module's, adopted at the start of a
            fit.
        decoder: A name or import path, see :func:`~visiontasks.decoders.create_decoder`; or a
            :class:`~visiontasks.decoders.Decoder`, which must be passed to ``load_from_checkpoint`` again.
        decoder_options: Arguments of a named decoder.
        weights: Weights of a whole segmentation to start from, including the decoder: a state dict or a checkpoint. For
            another number of classes, layers with one output per class stay randomly initialised; filters for colour
            images are adapted to other channels; the normalisation is adopted unless one is given. The weights are not
            needed again when a checkpoint is loaded.
        mode: ``"multiclass"``; ``"binary"``: two values, background and foreground, and one logit; ``"multilabel"``:
            a pixel may belong to any number of classes, and masks are [B, classes, H, W].
        threshold: Minimum probability, 0 to 1, at which the foreground (multilabel: a class) is predicted.
        loss: ``"cross_entropy"``, ``"focal"``, ``"dice"``, ``"lovasz"``, or a weighted sum given by the factor of each,
            such as ``{"cross_entropy": 1.0, "lovasz": 0.5}``, or one of your own; see
            :class:`~visiontasks.losses.segmentation.SegmentationLoss`.
        class_weights: Weight of each class in the loss; or ``"median_frequency"``, measured on the training masks, see
            :func:`~visiontasks.data.measuring.frequencies.median_frequency_weights`. Equal by default.
        label_smoothing: Share of the target of the cross-entropy that is spread over all classes, 0 to 1.
        auxiliary_weight: Weight of the losses of an auxiliary classifier on the second coarsest map, such as 0.4 (Zhao
            et al. 2017, section 3.3); 0 for none.
        test_time_flips: Mirror images whose probabilities are averaged with those of the image outside of a fit:
            ``"horizontal"``, ``"vertical"``, ``"both"`` (four views) or ``"none"``.
        test_time_scales: Scale factors whose probabilities are averaged likewise, of the size at which the data let the
            network see images; the validations of a fit use only the first.
        **kwargs: Arguments of :class:`~visiontasks.tasks.task.Task`.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.
        CheckpointError: If the weights are damaged, unsafe, or do not fit this segmentation.

    Example:
        >>> task = SegmentationTask(num_classes=5, backbone="resnet18")
        >>> predictions = task.eval().predict(task(torch.zeros(2, 3, 45, 61, dtype=torch.uint8)))
        >>> predictions.labels.shape, predictions.scores.shape
        (torch.Size([2, 45, 61]), torch.Size([2, 45, 61]))
    """

    takes = "segmentation"
    batch_type = SegmentationBatch
    any_size = True
    monitor = "val/miou"
    monitor_mode = "max"

    num_classes: int
    class_weights: Tensor | None

    def __init__(
        self,
        num_classes: int,
        class_names: Sequence[str] | None = None,
        decoder: str | Decoder = "unet",
        decoder_options: dict[str, Any] | None = None,
        weights: str | Path | None = None,
        mode: Mode = "multiclass",
        threshold: float = 0.5,
        loss: LossName | str | dict[str, float] = "cross_entropy",
        class_weights: Sequence[float] | Literal["median_frequency"] | None = None,
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.0,
        test_time_flips: Flips = "none",
        test_time_scales: Sequence[float] = (1.0,),
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        super().__init__(**kwargs)
        measured = class_weights == "median_frequency"
        given = None if measured else class_weights
        check_averaging(test_time_flips, test_time_scales)
        _check_arguments(num_classes, mode, threshold, class_names, given)
        check_range(0, math.inf, auxiliary_weight=auxiliary_weight)
        if measured and mode == "multilabel":
            message = "class_weights 'median_frequency' is of classes that exclude each other; give a list instead."
            raise ArgumentError(message)
        self.num_classes = num_classes
        self.class_names = None if class_names is None else list(class_names)
        self.mode = mode
        self.threshold = threshold
        self.test_time_flips: Flips = test_time_flips
        self.test_time_scales = tuple(test_time_scales)
        self.loss = SegmentationLoss(loss, mode, label_smoothing)
        # Measured weights must be in the checkpoint; until they are measured they are NaN.
        of_classes = [torch.nan] * num_classes if measured else given
        tensor = None if of_classes is None else torch.tensor([float(weight) for weight in of_classes])
        self.register_buffer("class_weights", tensor, persistent=measured)
        outputs = 1 if mode == "binary" else num_classes
        channels, strides = self.backbone.channels, self.backbone.strides
        self.decoder = _decoder(decoder, decoder_options or {}, self.backbone, outputs)
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary_stride = strides[-2:][0]
        self.auxiliary_head = PixelHead(channels[-2:][0], outputs) if auxiliary_weight else None
        scores: Metric = MultilabelConfusion(num_classes) if mode == "multilabel" else ConfusionMatrix(num_classes)
        self.add_metrics({"scores": scores})
        start_network(
            self,
            weights,
            kwargs.get("normalization"),
            read_segmentation,
            lambda source: load_segmentation(self, source, outputs),
        )

    def forward(self, images: Images) -> Outputs:
        """Compute logits, in float32 for any precision.

        Args:
            images: Images of any size, shape [B, C, H, W].

        Returns:
            Logits, shape [B, num_classes, H, W] ([B, 1, H, W] in binary mode). With an auxiliary classifier, a pair of
            these logits and those of the classifier, at the stride of its map.
        """
        features = self.backbone(self.normalize(images))
        logits: Tensor = self.decoder(features, (images.shape[-2], images.shape[-1])).float()
        if self.auxiliary_head is None:
            return logits
        return logits, self.auxiliary_head(features[-2:][0]).float()

    def losses(self, outputs: Outputs, batch: SegmentationBatch) -> dict[str, Float[Tensor, ""]]:
        """Compute the terms of the loss, and the weighted terms of the auxiliary classifier.

        In training they are computed over all pixels of the batch. In evaluation they are means over the images, so
        that the mean of a data set does not depend on the batch size.

        On an accelerator, a label that is not a class makes them NaN, and the training step then names the images.
        """
        if isinstance(outputs, Tensor):
            return self._loss(outputs, batch.masks)
        logits, coarse = outputs
        terms = self._loss(logits, batch.masks)
        auxiliary = enlarge(coarse, self.auxiliary_stride, (logits.shape[-2], logits.shape[-1]))
        more = self._loss(auxiliary, batch.masks)
        return terms | {f"auxiliary_{name}": self.auxiliary_weight * term for name, term in more.items()}

    def _loss(self, logits: Logits, masks: Tensor) -> dict[str, Tensor]:
        if self.training or len(logits) < 2:
            return self.loss(logits, masks, self.class_weights)
        pairs = zip(logits.split(1), masks.split(1), strict=True)
        images = [self.loss(one, mask, self.class_weights) for one, mask in pairs]
        return {name: torch.stack([terms[name] for terms in images]).mean() for name in images[0]}

    def predict(self, outputs: Outputs) -> SegmentationPredictions:
        """Decide on the class of each pixel; the only way from outputs to classes, in evaluation and on files."""
        return self.decide(self.probabilities(outputs))

    def decide(self, probabilities: Probabilities) -> SegmentationPredictions:
        """Decide on the most probable class of each pixel or, with one logit per class, on those above the threshold.

        Args:
            probabilities: Probabilities as :meth:`probabilities` returns them.

        Returns:
            The classes and their probabilities.
        """
        if self.mode == "multiclass":
            scores, labels = probabilities.max(1)
            return SegmentationPredictions(labels.to(torch.uint8), scores)
        labels = (probabilities >= self.threshold).to(torch.uint8)
        if self.mode == "multilabel":
            return SegmentationPredictions(labels, probabilities)
        scores = torch.where(labels == 1, probabilities, 1 - probabilities)
        return SegmentationPredictions(labels[:, 0], scores[:, 0])

    def probabilities(self, outputs: Outputs) -> Probabilities:
        """Convert outputs to probabilities: [B, num_classes, H, W], in binary mode [B, 1, H, W] of the foreground."""
        logits = outputs if isinstance(outputs, Tensor) else outputs[0]
        return logits.softmax(1) if self.mode == "multiclass" else logits.sigmoid()

    def logits(self, probabilities: Probabilities) -> Logits:
        """Convert averaged probabilities back to logits; finite for 0 and 1, too, so that the loss is finite."""
        logits = probabilities.log() if self.mode == "multiclass" else probabilities.logit()
        return logits.clamp(-100, 100)

    def update_metrics(self, predictions: SegmentationPredictions, batch: SegmentationBatch) -> None:
        """Update the metrics of the running stage with the predicted classes of pixels."""
        self.metrics.update(predictions.labels, batch.masks)

    @property
    def evaluation_scales(self) -> tuple[float, ...]:
        """Factors of the size of an image at which it is seen in evaluation: ``test_time_scales`` times the data's."""
        return tuple(scale_of(self.view) * scale for scale in self.test_time_scales)

    def eval_forward(
        self, images: Images, flips: Flips | None = None, scales: Sequence[float] | None = None
    ) -> Outputs:
        """Compute the outputs of :meth:`forward`, of probabilities averaged over views of the images if requested.

        Args:
            images: Images of any size, shape [B, C, H, W].
            flips: Mirror images to average over; by default ``test_time_flips``, and none in the validations of a fit.
            scales: Scale factors to average over; by default ``evaluation_scales``, in these validations the first.
        """
        flips = flips or ("none" if self.fitting else self.test_time_flips)
        scales = scales or (self.evaluation_scales[:1] if self.fitting else self.evaluation_scales)
        if flips == "none" and tuple(scales) == (1.0,):
            outputs: Outputs = self(images)
            return outputs
        averaged = average_probabilities(lambda view: self.probabilities(self(view)), images, flips, scales)
        logits = self.logits(averaged)
        return logits if self.auxiliary_head is None else (logits, self(images)[1])

    def as_batch(self, batch: Any) -> Any:  # noqa: ANN401 (whatever a user's loader yields)
        """Convert a plain pair (images, masks) to the NamedTuple, check the masks, and fill the padding in training.

        Raises:
            ArgumentError: If a label is not a class (for masks on the CPU; otherwise see :meth:`losses`), or masks and
                images differ in size.
        """
        batch = super().as_batch(batch)
        check_masks(batch, self.num_classes, self.mode)
        if not self.training or not isinstance(batch, SegmentationBatch):
            return batch  # in evaluation there is none, see same_sizes
        return batch._replace(images=self.normalize.fill(batch.images, batch.sizes))

    def measure(self, data: Any) -> None:  # noqa: ANN401 (any data module, or None)
        """Measure the class weights on the training masks if requested.

        Raises:
            ArgumentError: If there are no data to measure them on.
        """
        if self.class_weights is None or not self.class_weights.isnan().any():
            return
        measure = getattr(data, "median_frequency_weights", None)
        if measure is None:
            message = (
                "class_weights 'median_frequency' is measured on the training masks, and there is no data module that "
                "measures them. Train with a data module of files, or give class_weights as a list."
            )
            raise ArgumentError(message)
        self.class_weights.copy_(measure())


def _decoder(decoder: str | Decoder, options: dict[str, Any], backbone: Backbone, outputs: int) -> Decoder:
    channels, strides = backbone.channels, backbone.strides
    if isinstance(decoder, str):
        return create_decoder(decoder, channels, strides, outputs, **options)
    made_for = (tuple(decoder.channels), tuple(decoder.strides))
    if options or made_for != (tuple(channels), tuple(strides)):
        message = (
            f"The decoder is made for channels {made_for[0]} and strides {made_for[1]}, the backbone has {channels} "
            f"and {strides}; expected the same, and no decoder_options, which are for a named decoder."
        )
        raise ArgumentError(message)
    return decoder


def _check_arguments(
    num_classes: int,
    mode: str,
    threshold: float,
    class_names: Sequence[str] | None,
    weights: Sequence[float] | str | None,
) -> None:
    check_choice("mode", mode, get_args(Mode))
    if not 1 <= num_classes <= 255 or (mode == "binary" and num_classes != 2) or not 0 <= threshold <= 1:
        message = (
            f"num_classes is {num_classes} and threshold {threshold}; expected 1 to 255 classes (a pixel of a mask is "
            "a byte, and 255 is to be ignored), 2 with mode 'binary', and a probability."
        )
        raise ArgumentError(message)
    check_entries(num_classes, class_names=class_names, class_weights=weights)
