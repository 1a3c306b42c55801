"""The contract of every backbone: an image goes in, feature maps come out, fine to coarse."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.arguments import made_with, note_constructor
from visiontasks.errors import ArgumentError

Freeze = Literal["none", "all"] | int
"""Part of a backbone that is not trained: nothing, all of it, or the given number of its finest stages."""

Features = list[Float[Tensor, "batch _ _ _"]]
"""Feature maps, fine to coarse; map i has the backbone's ``channels[i]`` and ``strides[i]``."""

_NOTED = 64
"""Number of weights that tell random ones from all others."""

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
BATCH_NORMS = get_args(BatchNorm)


ChannelValues = dict[str, list[float]]
"""``"mean"`` and ``"std"`` of each channel that pixels in 0 to 1 are normalised by."""

PretrainedNormalization = Literal["imagenet", "unit"] | ChannelValues
"""Normalisation of the images that published weights were trained on."""


class Backbone(nn.Module, ABC):
    """An image network without its head.

    A subclass sets ``channels`` and ``strides`` and implements :meth:`forward`; a task needs nothing more. Feature map
    i has ``channels[i]`` channels, height ``ceil(H / strides[i])`` and width ``ceil(W / strides[i])`` for an input of
    any height H and width W; :func:`visiontasks.testing.check_backbone` checks this for an implementation.

    Attributes:
        channels: Number of channels of each feature map, fine to coarse.
        strides: Stride of each feature map in pixels of the input, exact powers of two, fine to coarse.
        auxiliary_channels: Channels of the maps that auxiliary classifiers read; empty for most networks.
        pretrained_normalization: Normalisation of the images that the architecture's published weights were trained on.
        cut: Names of modules that a network has lost, as no feature map depends on them; a file may have their weights.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]
    auxiliary_channels: tuple[int, ...] = ()
    pretrained_normalization: PretrainedNormalization = "imagenet"
    cut: tuple[str, ...] = ()

    recomputes: bool | None = None
    """Whether it computes stages again for their gradients by itself; None if it cannot, but its blocks may be."""

    made_with: dict[str, object] | None = None
    """Arguments of its constructor, from which a checkpoint makes it again; None if not all are plain values."""
    _created: Tensor | None = None
    """Some of the random weights that it was created with; None if they may be others."""
    _frozen: Sequence[str] = ()
    """Names of the modules that are frozen: ``convert_sync_batchnorm`` puts others in their places."""

    def __init_subclass__(cls, **kwargs: Any) -> None:  # noqa: ANN401 (of any base beside this one)
        """Record the arguments of the constructor."""
        super().__init_subclass__(**kwargs)
        note_constructor(cls)

    def __init__(self) -> None:
        super().__init__()
        self.made_with = made_with(self)

    @abstractmethod
    def forward(self, images: Float[Tensor, "batch channels height width"]) -> Features:
        """Compute the feature maps of normalised images.

        Args:
            images: Normalised images, shape [B, C, H, W].

        Returns:
            One feature map per entry of ``channels`` and ``strides``, fine to coarse.
        """

    def forward_auxiliary(self, images: Float[Tensor, "batch channels height width"]) -> tuple[Features, Features]:
        """Compute the feature maps, and separately the maps that auxiliary classifiers read.

        Args:
            images: Normalised images, shape [B, C, H, W].

        Returns:
            What :meth:`forward` returns, and one map per entry of ``auxiliary_channels``.
        """
        return self(images), []

    def note_random(self) -> Self:
        """Note that the weights are random until others are loaded or trained; see :meth:`is_untrained`."""
        some = self._some_weights()
        self._created = None if some.is_meta else some.to("cpu", torch.float32, copy=True)
        return self

    def is_untrained(self) -> bool:
        """Return whether it still has the random weights of :func:`~visiontasks.backbones.create_backbone`."""
        return self._created is not None and self._created.equal(self._some_weights().to("cpu", torch.float32))

    def _some_weights(self) -> Tensor:
        return next(iter(self.parameters()), torch.zeros(0)).detach().flatten()[:_NOTED]

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules that compute each feature map from the one before, for partial freezing.

        Returns:
            The modules of each feature map, fine to coarse; modules without parameters may be left out. Empty, the
            default, for a backbone that can only be frozen as a whole.
        """
        return []

    def parameters_by_layer(self) -> list[list[nn.Parameter]]:
        """List the parameters of each layer, first to last, for learning rates that fall with depth.

        Returns:
            By default the parameters of each stage, see :meth:`stage_modules`; empty if those are not told.
        """
        return [[value for module in stage for value in module.parameters()] for stage in self.stage_modules()]

    def converted(self, weights: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Convert weights from the names that other implementations of the network give them.

        Args:
            weights: Weights that do not have the names of this backbone.

        Yields:
            Weights that may have them; none by default.
        """
        yield from ()

    def freeze(self, freeze: Freeze, norms: bool = False) -> None:
        """Freeze weights and batch-norm statistics; parts that were frozen before and are not selected now train again.

        Frozen modules stay in evaluation mode when :meth:`train` is called, and their parameters do not require
        gradients, so that an optimiser created afterwards leaves them out.

        Args:
            freeze: ``"none"``, ``"all"``, or the number of finest stages to freeze; see :meth:`stage_modules`.
            norms: Whether all batch norms are frozen as well.

        Raises:
            ArgumentError: If the backbone does not have these stages.

        Example:
            >>> from visiontasks import create_backbone
            >>> backbone = create_backbone("cnn", filters=(8, 16))
            >>> backbone.freeze(1)
            >>> [parameter.requires_grad for parameter in backbone.parameters()][::6]
            [False, True]
        """
        frozen: list[nn.Module]
        if freeze in ("none", "all"):
            frozen = [self] if freeze == "all" else []
        else:
            stages = self.stage_modules()
            if not isinstance(freeze, int) or isinstance(freeze, bool) or not 0 <= freeze <= len(stages):
                numbers = f"'none', 'all' or a number of stages from 0 to {len(stages)}"
                expected = numbers if stages else "'none' or 'all': it does not say what its stages are"
                message = f"freeze is {freeze!r}; {type(self).__name__} can be frozen by {expected}."
                raise ArgumentError(message)
            frozen = [module for stage in stages[:freeze] for module in stage]
        if norms:
            frozen = [*frozen, *(module for module in self.modules() if isinstance(module, BATCH_NORMS))]
        if not frozen and not self._frozen:
            return
        for module in self._frozen_modules():
            module.requires_grad_(True)
        for module in frozen:
            module.requires_grad_(False)
        self._keep_frozen(frozen)

    def unfreeze(self, parameters: Iterable[nn.Parameter]) -> None:
        """Unfreeze the modules that own any of these parameters.

        Args:
            parameters: Parameters to be trained, such as those of an optimiser.
        """
        trained = {id(parameter) for parameter in parameters}
        frozen, still = self._frozen_modules(), list[nn.Module]()
        for module in frozen:
            if not any(id(parameter) in trained for parameter in module.parameters()):
                still.append(module)
                continue
            for part in module.modules():
                own_parameters = list(part.parameters(recurse=False))
                for parameter in own_parameters:
                    parameter.requires_grad_(id(parameter) in trained)
                if own_parameters and not any(parameter.requires_grad for parameter in own_parameters):
                    still.append(part)
        if len(still) != len(frozen) or any(a is not b for a, b in zip(still, frozen, strict=True)):
            self._keep_frozen(still)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules that are not frozen; see :meth:`torch.nn.Module.train`."""
        super().train(mode)
        for module in self._frozen_modules():
            # Not module.eval(), which would recurse into this method if the backbone is frozen as a whole.
            nn.Module.train(module, False)
        return self

    def _keep_frozen(self, frozen: Sequence[nn.Module]) -> None:
        # A backbone that was frozen as a whole, whose name is empty, does not know which mode its task is in.
        mode = self.training or "" in self._frozen
        names = {module: name for name, module in self.named_modules()}
        self._frozen = [names[module] for module in frozen]
        self.train(mode)

    def _frozen_modules(self) -> list[nn.Module]:
        return [self.get_submodule(name) for name in self._frozen]
