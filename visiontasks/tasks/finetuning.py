"""Fine-tuning: the normalisation that weights expect, frozen parameters, and parameters that are unfrozen later."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from visiontasks.backbones import Backbone
from visiontasks.backbones.base import Freeze
from visiontasks.backbones.weights import WeightsSource, load_weights, read_weights
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.tasks.checkpoint import RECORD, CheckpointedModule
from visiontasks.tasks.normalization import Normalization, Normalize
from visiontasks.tasks.optimization import (
    NamedSchedule,
    exempt_from_decay,
    fuse,
    named_schedule,
    resume_rates,
    scale_rate,
    schedulers_of,
    set_rate,
    settle_joined_groups,
    training_steps,
)


def expected_normalization(
    source: WeightsSource, backbone: Backbone, in_channels: int, image_size: tuple[int, int] | None
) -> Normalize:
    """Create the normalisation that weights expect.

    Weights of a task expect its normalisation mode and its measured statistics, because its filters and batch-norm
    statistics were fitted to images normalised with them. Statistics for another number of channels are not used and
    will be measured anew.

    Args:
        source: The weights.
        backbone: Their backbone.
        in_channels: Channels of the images.
        image_size: Height and width of the images in pixels, if known.

    Returns:
        The normalisation, with the statistics if the source has them.

    Raises:
        ArgumentError: If the weights expect a mean image of another size.
    """
    mode = source.contents.get(RECORD, {}).get("normalization")
    if mode is None:
        return Normalize(backbone.pretrained_normalization, in_channels)
    buffers = {name: source.weights[f"normalize.{name}"] for name in ("mean", "std", "measured")}
    height, width = buffers["mean"].shape[1:]
    if mode == "image_mean" and image_size not in (None, (height, width)):
        message = (
            f"The weights from {source.origin} expect images of {height} x {width} pixels, less their mean image; "
            f"image_size is {image_size}. Use the same size, or choose another normalization, such as 'channel_mean'."
        )
        raise ArgumentError(message)
    normalize = Normalize(mode, in_channels, (height, width))
    if normalize.mean.shape == buffers["mean"].shape:
        normalize.load_state_dict(buffers)
    return normalize


class FinetunedModule(CheckpointedModule):
    """A module whose backbone may start from weights and be frozen, and its optimiser.

    Attributes:
        backbone: The backbone.
        normalize: The normalisation of its images.
    """

    backbone: Backbone
    normalize: Normalize
    in_channels: int
    _optimizer: OptimizerCallable
    _lr_scheduler: LRSchedulerCallable | NamedSchedule
    _lr_interval: Literal["epoch", "step"]
    _warmup: float
    _lr: float | None = None
    _groups: int | None = None
    _joined: int
    _resumed_sizes: Sequence[int] = ()

    def start_from(self, weights: str | Path | None, name: str | None, normalization: Normalization | None) -> None:
        """Load the weights of the backbone, and choose the normalisation, which is saved in the checkpoint.

        Args:
            weights: See :func:`~visiontasks.backbones.weights.read_weights`; None to leave the backbone as it is.
            name: Name of the backbone, if it has one.
            normalization: The mode; None for the one that the weights expect.

        Raises:
            ArgumentError: If the weights do not exist, or expect other images.
            CheckpointError: If the weights are damaged, unsafe, or do not fit the backbone.
            DownloadError: If published weights are not in the cache and cannot be downloaded.
        """
        # Not needed when a checkpoint is restored, because its weights replace them.
        source = None if weights is None or self._restored else read_weights(weights, name)
        if source is not None:
            rank_zero_info(str(load_weights(self.backbone, source)))
        if source is None or normalization is not None:
            self.normalize = Normalize(normalization or "imagenet", self.in_channels, self.image_size)
        else:
            self.normalize = expected_normalization(source, self.backbone, self.in_channels, self.image_size)
            rank_zero_info(f"Normalization {self.normalize.mode!r}, as these weights expect.")
        if self.normalize.mode == "image_mean":
            height, width = self.normalize.mean.shape[1:]
            self.image_size = (height, width)
        self.save_instead(backbone_weights=None, normalization=self.normalize.mode, image_size=self.image_size)

    def start_from_whole(
        self,
        weights: str | Path | None,
        normalization: Normalization | None,
        read: Callable[[str | Path], WeightsSource],
        load: Callable[[WeightsSource], str],
    ) -> None:
        """Load the weights of the whole network, and take over their normalisation unless one is given.

        Args:
            weights: The argument of the task; None to leave the network as it is.
            normalization: The mode, if one is given.
            read: Reads the weights.
            load: Loads them into the network and describes what was loaded.
        """
        if weights is not None and not self._restored:
            source = read(weights)
            rank_zero_info(load(source))
            if normalization is None and RECORD in source.contents:
                self.normalize = expected_normalization(source, self.backbone, self.in_channels, self.image_size)
        self.save_instead(weights=None, normalization=self.normalize.mode)

    def freeze_backbone(self, freeze: Freeze, lr_factor: float) -> None:
        """Freeze a part of the backbone, and set the learning rate factor of the rest.

        Args:
            freeze: See :meth:`~visiontasks.backbones.Backbone.freeze`.
            lr_factor: Learning rate of the backbone as a multiple of the head's, above 0.

        Raises:
            ArgumentError: If the backbone does not have these stages, or the factor is out of range.
        """
        if lr_factor <= 0:
            message = (
                f"backbone_lr_factor is {lr_factor}; expected more than 0. freeze='all' keeps the backbone as it is."
            )
            raise ArgumentError(message)
        self.backbone.freeze(freeze)
        self._freeze, self._backbone_lr_factor = freeze, lr_factor

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the normalisation of the images, for tasks that start from this backbone."""
        super().on_save_checkpoint(checkpoint)
        checkpoint[RECORD]["normalization"] = self.normalize.mode

    def setup(self, stage: str) -> None:
        """Freeze the batch norm again that Lightning's ``BackboneFinetuning`` leaves trainable."""
        if stage == "fit":
            self.backbone.freeze(self._freeze)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See the base class; also record which parameters the checkpoint's optimiser has."""
        super().on_load_checkpoint(checkpoint)
        states = checkpoint.get("optimizer_states") or [{"param_groups": []}]
        self._resumed_sizes = [len(group["params"]) for group in states[0]["param_groups"]]

    def on_fit_start(self) -> None:
        """See the base class; also restore parameter groups that had been added before the training was interrupted.

        Raises:
            ArgumentError: If a callback conflicts with the frozen parameters.
            CheckpointError: If training would be resumed with other parameters than before.
        """
        super().on_fit_start()
        callbacks: list[Any] = self.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
        if self._freeze != "none" and any(isinstance(callback, StochasticWeightAveraging) for callback in callbacks):
            message = (
                "StochasticWeightAveraging measures the statistics of all batch norms anew, of which the frozen ones "
                "would be left without any. Use EMAWeightAveraging, or freeze='none'."
            )
            raise ArgumentError(message)
        self._settle()
        sizes = [len(group["params"]) for group in self.trainer.optimizers[0].param_groups]
        if self.trainer.ckpt_path and self._resumed_sizes and sizes != self._resumed_sizes:
            message = (
                f"The checkpoint's optimiser has {self._resumed_sizes} parameters in its groups, this one {sizes}: "
                "its state does not fit. Go on with the same freeze, backbone_lr_factor and callbacks; or start a new "
                "training from the weights, with load_from_checkpoint, or of the backbone alone with backbone_weights."
            )
            raise CheckpointError(message)

    def on_train_start(self) -> None:
        """See the base class; a resumed named schedule sets the learning rate according to the end of this training."""
        super().on_train_start()
        if self.trainer.ckpt_path and isinstance(self._lr_scheduler, str):
            for config in self.trainer.lr_scheduler_configs:
                resume_rates(config.scheduler)

    def on_train_epoch_start(self) -> None:
        """Set up training of what a callback has unfrozen; Lightning calls callbacks before their module."""
        self._settle()

    def _settle(self) -> None:
        optimizer = self.trainer.optimizers[0]
        if self._groups is None or len(optimizer.param_groups) == self._groups:
            return
        schedulers = schedulers_of(self.trainer, optimizer)
        settle_joined_groups(optimizer, schedulers, self._groups)
        joined = [parameter for group in optimizer.param_groups[self._groups :] for parameter in group["params"]]
        self.backbone.unfreeze(joined)
        strategy = self.trainer.strategy
        if len(joined) != self._joined and isinstance(strategy, DDPStrategy):
            # DistributedDataParallel averages only gradients of parameters that required them when it was created.
            strategy.model = self
            strategy.configure_ddp()
        self._joined = len(joined)

    @property
    def lr(self) -> float:
        """Learning rate of the optimiser, before any schedule; ``Tuner.lr_find`` finds it by this name, and sets it.

        If the optimiser was created with several rates, it is the first one; setting it changes all by the same factor.
        """
        rate: float = self._create_optimizer().param_groups[0]["lr"]
        return rate

    @lr.setter
    def lr(self, rate: float) -> None:
        self._lr = rate

    def _create_optimizer(self) -> Optimizer:
        optimizer = self._optimizer([parameter for parameter in self.parameters() if parameter.requires_grad])
        if self._lr is not None:
            set_rate(optimizer, self._lr)
        return optimizer

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Create the optimiser over the trainable parameters, and the schedule.

        Raises:
            ArgumentError: If the schedule gives the backbone the learning rate of the head.
        """
        optimizer = self._create_optimizer()
        if self._backbone_lr_factor != 1:
            scale_rate(optimizer, self.backbone.parameters(), self._backbone_lr_factor)
        exempt_from_decay(optimizer)
        fuse(optimizer)
        self._groups, self._joined = len(optimizer.param_groups), 0
        if isinstance(self._lr_scheduler, str):
            total = training_steps(self.trainer)
            scheduler = named_schedule(optimizer, self._lr_scheduler, self._warmup, total)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
        rates = [group["lr"] for group in optimizer.param_groups]
        own = self._lr_scheduler(optimizer)
        # A schedule may multiply all learning rates, as a warm-up does, or overwrite them.
        scaled = {
            group.get("initial_lr", group["lr"]) / lr
            for group, lr in zip(optimizer.param_groups, rates, strict=True)
            if lr
        }
        if self._backbone_lr_factor != 1 and max(scaled) > 1.001 * min(scaled):
            message = (
                f"{type(own).__name__} gives every parameter the same learning rate, whatever backbone_lr_factor is. "
                "Leave the factor out, or use a schedule that multiplies the rates of the optimiser, such as 'cosine'."
            )
            raise ArgumentError(message)
        config: dict[str, Any] = {"scheduler": own, "interval": self._lr_interval}
        if isinstance(own, ReduceLROnPlateau):
            config["monitor"] = getattr(own, "monitor", "val/loss")
            if self._lr_interval == "step":
                message = "ReduceLROnPlateau looks at a metric of an epoch; lr_interval is 'step', expected 'epoch'."
                raise ArgumentError(message)
            # It is stepped only after epochs with a validation; validations within an epoch may leave its end without
            # one.
            config |= {"frequency": self.trainer.check_val_every_n_epoch or 1, "strict": False}
        return {"optimizer": optimizer, "lr_scheduler": config}  # type: ignore[return-value]  # as documented
