"""Initialisation of weights."""

from typing import Literal

import torch
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


def initialize_classifier(layer: nn.Conv2d, summed: int = 1) -> None:
    """Draw the weights of a last convolution as others, less the mean of each filter; set its biases to zero.

    Its inputs come from a ReLU and have a positive mean, by which some class would be ahead of the others everywhere,
    and the first steps would be spent on undoing that.

    Args:
        layer: The convolution, whose results are logits; changed in place.
        summed: Number of maps whose sum it gets, by which the weights are divided.
    """
    initialize_convolutions(layer, "fan_in")
    with torch.no_grad():
        layer.weight -= layer.weight.mean((1, 2, 3), keepdim=True)
        layer.weight /= summed
