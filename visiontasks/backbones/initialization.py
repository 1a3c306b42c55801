"""Initialisation of weights."""

from typing import Literal

from torch import nn


def initialize_convolutions(module: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Draw the weights of all convolutions from He et al.'s normal distribution, and set their biases to zero.

    Delving deep into rectifiers (ICCV 2015), section 2.2. The scales and shifts of normalisation layers keep their
    initial ones and zeros.

    Args:
        module: The module; changed in place, including its submodules.
        mode: ``"fan_in"`` preserves the variance of activations across layers, ``"fan_out"`` that of gradients. Without
            normalisation ``"fan_in"`` is the safe choice; with it the variance of activations does not matter.

    Example:
        >>> layer = nn.Conv2d(256, 8, 1)
        >>> initialize_convolutions(layer, "fan_in")
        >>> round(layer.weight.std().item(), 2), layer.bias.abs().sum().item()
        (0.09, 0.0)
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode=mode, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def initialize_classifier(layer: nn.Conv2d) -> None:
    """Draw the weights of a last convolution from a narrow normal distribution, and set its biases to zero.

    All classes start out about equally likely, so that the first steps are not spent on undoing a guess; deviation 0.01
    as in Lin et al., Focal loss for dense object detection (ICCV 2017), section 4.1.

    Args:
        layer: The convolution, whose results are logits; changed in place.
    """
    nn.init.normal_(layer.weight, std=0.01)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
