"""Learning rates that fall with the distance of a layer of the backbone from the head."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.padding import evaluating
from visiontasks.backbones.summary import parameters_by_map
from visiontasks.errors import ArgumentError
from visiontasks.tasks.optimization import scale_rate

_SIDE = 2
"""Height and width of the image whose maps tell layers apart, in multiples of the coarsest stride."""


def decay_by_layer(optimizer: Optimizer, backbone: Backbone, in_channels: int, decay: float) -> None:
    """Multiply the learning rate of each layer of a backbone by a factor per layer between it and the head.

    Clark et al., ELECTRA (ICLR 2020), appendix A, and Bao et al., BEiT (ICLR 2022), section 3.2: the coarsest layer
    learns at ``decay`` times the rate, the one before it at ``decay ** 2``, and so on; what is not of the backbone is
    left as it is.

    Args:
        optimizer: The optimiser; its parameter groups are split by layer.
        backbone: The backbone.
        in_channels: Channels of its images.
        decay: The factor, above 0 and at most 1.

    Raises:
        ArgumentError: If no layer is trained, or there is one alone.
    """
    if not any(parameter.requires_grad for parameter in backbone.parameters()):
        message = f"layer_decay is {decay}, and nothing of the backbone is trained: leave one of it and freeze out."
        raise ArgumentError(message)
    told: Sequence[Sequence[Tensor]] = backbone.parameters_by_layer() or layers_by_map(backbone, in_channels)
    layers = [layer for layer in told if layer]  # a pooling has no parameters
    if len(layers) < 2:
        message = (
            f"layer_decay is {decay}, and {type(backbone).__name__} does not say what its layers are (stage_modules), "
            "and has one feature map. Use backbone_lr_factor."
        )
        raise ArgumentError(message)
    for distance, parameters in enumerate(reversed(layers), 1):
        scale_rate(optimizer, parameters, decay**distance)


def layers_by_map(backbone: Backbone, in_channels: int) -> list[list[Tensor]]:
    """List the parameters that each feature map depends on and no finer one does, computed without arithmetic.

    Args:
        backbone: The backbone.
        in_channels: Channels of its images.
    """
    side = _SIDE * backbone.strides[-1]
    parameters = dict(backbone.named_parameters())
    tracked = {name: torch.empty_like(value, device="meta").requires_grad_() for name, value in parameters.items()}
    buffers = {name: torch.empty_like(value, device="meta") for name, value in backbone.named_buffers()}
    images = torch.empty(1, in_channels, side, side, device="meta", dtype=_type_of(backbone))
    with torch.enable_grad(), evaluating(backbone), torch.device("meta"):
        features = functional_call(backbone, tracked | buffers, (images,))
    own = list(parameters.values())
    return [
        [own[index] for index in sorted(indices)] for indices in parameters_by_map(list(tracked.values()), features)
    ]


def _type_of(module: nn.Module) -> torch.dtype:
    return next((value.dtype for value in module.parameters()), torch.float32)
