"""Autoencoding: reconstructing an image from a code of it."""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float32
from torch import Tensor

from visiontasks.decoders.image import ImageDecoder, ImageUpsampling, ceil_divide
from visiontasks.description import DataDescription, OffersTrainingImages
from visiontasks.errors import ArgumentError
from visiontasks.heads.code import CodeForm, create_code, embedding
from visiontasks.losses.pixels import pixels_of
from visiontasks.losses.reconstruction import ReconstructionLoss, ReconstructionLossName, normal_divergence
from visiontasks.metrics.code import CodeAccuracy
from visiontasks.metrics.reconstruction import ReconstructionQuality
from visiontasks.sizes import ImageSize, height_and_width
from visiontasks.tasks.corruption import Corruption, Denoising
from visiontasks.tasks.optimization import SET_AN_END, training_steps
from visiontasks.tasks.scores import Stage
from visiontasks.tasks.task import Task
from visiontasks.types import AutoencodingPredictions, Images, labels_of

Codes = Float32[Tensor, "batch code"] | Float32[Tensor, "batch code rows columns"]
PixelBatch = Float32[Tensor, "batch channels height width"]

_WIDEST = 256
_LOG_VARIANCES = (-20.0, 10.0)


class AutoencodingOutputs(NamedTuple):
    """Raw outputs of an autoencoder.

    Attributes:
        logits: Logits of the pixels; their sigmoid is the image.
        codes: Code of each image; variational: the mean of its distribution.
        log_variances: Logarithm of the variance of each value of a code; None if not variational.
    """

    logits: Float32[Tensor, "batch channels height width"]
    codes: Codes
    log_variances: Codes | None


class AutoencodingTask(Task):
    """Reconstructs images from codes that are smaller than they are, so that a code has to capture what is in an image.

    The backbone's coarsest feature map is encoded to a code, and the code is decoded to an image through the strides of
    the backbone in reverse. Targets are the original pixels in 0 to 1, in float32 for any precision and normalisation.
    Only the images of a batch are needed, so data for any task can be used; padding does not count.

    Logs ``loss``, and ``mse``, ``psnr`` and ``ssim`` (see
    :class:`~visiontasks.metrics.reconstruction.ReconstructionQuality`). If each image has one class (a field ``labels``
    with one number per image), ``knn_accuracy`` and ``linear_accuracy`` measure how well codes predict it, see
    :class:`~visiontasks.metrics.code.CodeAccuracy`: training images are encoded for this after the validation, without
    training on it.

    Args:
        code_size: Number of values of a code; for a map, at each position.
        code: ``"vector"``, for images of one size; or ``"map"``, which keeps positions, for images of any size.
        decoder: How maps are upsampled: ``"transpose"``, ``"unpooling"`` or ``"resize"``, see
            :class:`~visiontasks.decoders.image.ImageDecoder`.
        decoder_options: Other arguments of the decoder.
        loss: ``"mse"``, ``"l1"``, ``"ssim"`` or ``"binary_cross_entropy"``, or a factor for each of several, such as
            ``{"mse": 1.0, "ssim": 0.1}``. See :class:`~visiontasks.losses.reconstruction.ReconstructionLoss`.
        denoising: Corruption of the inputs (not the targets) in training: ``"gaussian"``, ``"salt_and_pepper"`` or
            ``"erased_patches"``, see :class:`~visiontasks.tasks.corruption.Corruption`; None for no corruption.
        noise: Amount of corruption, above 0 and at most 1.
        variational: Whether codes are sampled in training from a normal distribution that the encoder predicts, and
            regularised towards a standard normal distribution (Kingma and Welling, Auto-encoding variational Bayes,
            ICLR 2014), so that :meth:`sample` can generate images.
        kl_weight: Weight of the divergence from the standard normal distribution. Like the losses, the divergence is
            averaged per pixel value, so that with ``"binary_cross_entropy"`` and weight 1 the loss is the variational
            bound of the paper.
        kl_warmup: Share of all training steps, 0 to 1, in which ``kl_weight`` rises from 0.
        bank_size: Number of training images that the accuracies compare validation codes with; a test uses all training
            images. 0 disables the accuracies.
        **kwargs: Arguments of :class:`~visiontasks.tasks.task.Task`. A code that is a vector needs ``image_size``; on
            the command line it is taken from the data.

    Raises:
        ArgumentError: If arguments contradict each other or name something unknown.

    Example:
        >>> task = AutoencodingTask(code_size=8, image_size=(33, 20)).eval()
        >>> predictions = task.predict(task(torch.zeros(2, 3, 33, 20, dtype=torch.uint8)))
        >>> predictions.images.shape, predictions.codes.shape
        (torch.Size([2, 3, 33, 20]), torch.Size([2, 8]))
    """

    monitor = "val/mse"
    monitor_mode = "min"

    def __init__(
        self,
        code_size: int = 64,
        code: CodeForm = "vector",
        decoder: ImageUpsampling = "transpose",
        decoder_options: dict[str, Any] | None = None,
        loss: ReconstructionLossName | str | dict[str, float] = "mse",
        denoising: Denoising | None = None,
        noise: float = 0.3,
        variational: bool = False,
        kl_weight: float = 1.0,
        kl_warmup: float = 0.0,
        bank_size: int = 10_000,
        **kwargs: Any,  # noqa: ANN401 (the arguments of Task)
    ) -> None:
        super().__init__(**kwargs)
        if code_size < 1 or kl_weight < 0 or not 0 <= kl_warmup <= 1 or bank_size < 0:
            message = (
                f"code_size is {code_size}, kl_weight {kl_weight}, kl_warmup {kl_warmup} and bank_size {bank_size}; "
                "expected at least 1, at least 0, 0 to 1, and at least 0."
            )
            raise ArgumentError(message)
        self.code_size = code_size
        self.loss = ReconstructionLoss(loss)
        self.corruption = None if denoising is None else Corruption(denoising, noise)
        self.variational = variational
        self.kl_weight = kl_weight
        self.kl_warmup = kl_warmup
        self.bank_size = bank_size
        channels, strides = self.backbone.channels, self.backbone.strides
        mirrored, options = (*channels[:-1], min(channels[-1], _WIDEST)), decoder_options or {}
        self.any_size = code == "map"
        self.fixed_size = None if code == "map" else self.image_size
        map_size = None if self.fixed_size is None else ceil_divide(self.fixed_size, strides[-1])
        shared = {name: options[name] for name in ("norm", "activation") if name in options}
        self.code = create_code(code, channels[-1], mirrored[-1], code_size, map_size, 1 + variational, **shared)
        try:
            self.decoder = ImageDecoder(mirrored, strides, self.in_channels, upsampling=decoder, **options)
        except TypeError as error:
            message = f"The decoder was given {options}: {error}"
            raise ArgumentError(message) from error
        metrics = {"reconstruction": ReconstructionQuality()}
        self.add_metrics(metrics | ({"code": CodeAccuracy()} if bank_size else {}))

    def inputs(self, batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 (of any task)
        """Select the images, corrupted in training according to ``denoising``."""
        if self.corruption is None or not self.training:
            return (batch.images,)
        return (self.corruption(pixels_of(batch.images)),)

    def forward(self, images: Images) -> AutoencodingOutputs:
        """Compute codes and reconstructed images, in float32 for any precision.

        Args:
            images: Images, shape [B, C, H, W].
        """
        codes, log_variances = self._encode(images)
        drawn = codes
        if log_variances is not None and self.training:
            drawn = codes + torch.randn_like(codes) * (log_variances / 2).exp()
        return AutoencodingOutputs(self._decode(drawn, (images.shape[-2], images.shape[-1])), codes, log_variances)

    def encode(self, images: Images) -> Codes:
        """Compute the codes of images; variational: their means.

        Args:
            images: Images, shape [B, C, H, W].
        """
        return self._encode(images)[0]

    def decode(self, codes: Codes, size: ImageSize | None = None) -> PixelBatch:
        """Decode codes to images, pixels in 0 to 1.

        Args:
            codes: Codes.
            size: Height and width of the images in pixels; needed for codes that are maps.

        Raises:
            ArgumentError: If the size is needed but missing, or is not the one that a vector code was created for.
        """
        size = self.fixed_size if size is None else height_and_width("size", size)
        if size is None or self.fixed_size not in (None, size):
            expected = f"{self.fixed_size}" if self.fixed_size else "the height and width of the images"
            message = f"size is {size}; expected {expected}."
            raise ArgumentError(message)
        return self._decode(codes, size).sigmoid()

    def sample(self, count: int, size: ImageSize | None = None) -> PixelBatch:
        """Generate random images; needs a variational autoencoder in evaluation mode.

        Args:
            count: Number of images.
            size: Height and width in pixels; needed if codes are maps.

        Returns:
            Pixels in 0 to 1.

        Raises:
            ArgumentError: If the autoencoder is not variational, or the size is needed but missing.
        """
        if not self.variational:
            message = "sample draws random codes, which only a task with variational=True learns to decode to images."
            raise ArgumentError(message)
        shape: tuple[int, ...] = (count, self.code_size)
        if self.fixed_size is None and size is not None:
            shape += ceil_divide(height_and_width("size", size), self.backbone.strides[-1])
        return self.decode(torch.randn(shape, device=self.device), size)

    def losses(self, outputs: AutoencodingOutputs, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401 (of any task)
        """Compute the terms of the loss against the original images, as means over the batch.

        Args:
            outputs: What :meth:`forward` returns.
            batch: A batch of any task that has ``images``.
        """
        with torch.autocast(outputs.logits.device.type, enabled=False):
            terms = self.loss(outputs.logits, pixels_of(batch.images), getattr(batch, "sizes", None))
            if outputs.log_variances is not None:
                divergence = normal_divergence(outputs.codes, outputs.log_variances).mean()
                terms["kl"] = self.kl_weight * self._kl_share() * divergence / math.prod(outputs.logits.shape[1:])
        return terms

    def predict(self, outputs: AutoencodingOutputs) -> AutoencodingPredictions:
        """Return the pixels and the codes."""
        return AutoencodingPredictions(outputs.logits.sigmoid(), outputs.codes)

    def update_metrics(self, predictions: AutoencodingPredictions, batch: Any) -> None:  # noqa: ANN401 (of any task)
        """Update the metrics of the running stage; each receives the values below that it takes by name.

        The values are ``images`` and ``target`` (pixels in 0 to 1), ``sizes``, ``codes`` (a vector for each image) and
        ``labels`` (-1 if unknown).
        """
        self.metrics.update(
            images=predictions.images,
            target=pixels_of(batch.images),
            sizes=getattr(batch, "sizes", None),
            codes=embedding(predictions.codes),
            labels=labels_of(batch),
        )

    def complete_metrics(self, stage: Stage) -> None:
        """Encode training images for the accuracies of the codes, if there are labels, with the evaluated weights."""
        if not self.trainer.sanity_checking:
            self._fill_bank(self.bank_size if stage == "val" else None)

    def check_data(self, data: DataDescription) -> None:
        """Check the channels, and the image size if the code needs a fixed one; adopt the class names.

        Raises:
            ArgumentError: If they differ.
        """
        super().check_data(data)
        size = data.image_size
        if self.fixed_size is not None and (size is None or tuple(size) != self.fixed_size):
            message = (
                f"The images of the data have {f'the size {size}' if size else 'different sizes'}, the code is a "
                f"vector and was made for {self.fixed_size}. Resize them to it, or use code='map', which takes any."
            )
            raise ArgumentError(message)
        self.class_names = list(data.class_names)

    def _encode(self, images: Images) -> tuple[Codes, Codes | None]:
        codes = self.code.encode(self.backbone(self.normalize(images))[-1]).float()
        if not self.variational:
            return codes, None
        means, log_variances = codes.chunk(2, 1)
        return means, log_variances.clamp(*_LOG_VARIANCES)

    def _decode(self, codes: Tensor, size: tuple[int, int]) -> Tensor:
        # Codes are in float32 even if the parameters are not.
        dtype = next(self.decoder.parameters()).dtype
        logits: Tensor = self.decoder(self.code.decode(codes.to(dtype)), size).float()
        return logits

    def _kl_share(self) -> float:
        if not self.training or self._trainer is None or not self.kl_warmup:
            return 1.0
        total = training_steps(self.trainer)
        if math.isinf(total):
            message = f"kl_warmup needs to know the end of the training: {SET_AN_END}."
            raise ArgumentError(message)
        return min(1.0, self.global_step / (self.kl_warmup * total))

    def _fill_bank(self, count: int | None) -> None:
        data = getattr(self.trainer, "datamodule", None)
        if not self.bank_size or not isinstance(data, OffersTrainingImages):
            return
        accuracy: Any = self.metrics["code"]
        strategy: Any = self.trainer.strategy
        # Decided over all processes, because one without images still has to do its share.
        labelled = any((labels >= 0).any() for labels in accuracy.labels)
        if not strategy.reduce_boolean_decision(bool(labelled), all=False):
            return
        if self.trainer.fast_dev_run:  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
            count = 64
        # A loader draws a random number, which must not affect the random state of training.
        with torch.random.fork_rng(devices=()), strategy.precision_plugin.val_step_context():
            for loaded in data.unaugmented_dataloader(count):
                batch: Any = self.as_batch(strategy.batch_to_device(loaded, self.device))
                accuracy.remember(embedding(self.encode(batch.images)), labels_of(batch))
