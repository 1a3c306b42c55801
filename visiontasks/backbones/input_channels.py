"""Filters for colour images, adapted to images with another number of channels."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def adapt_first(backbone: nn.Module, weights: dict[str, Tensor], prefix: str = "") -> str | None:
    """Adapt the weights of the first convolution if they expect colour images and the backbone does not.

    Args:
        backbone: The backbone.
        weights: The weights to load; changed in place.
        prefix: Prefix of their names.

    Returns:
        A description of the change; None if nothing was changed.
    """
    for name, layer in backbone.named_modules():
        if isinstance(layer, nn.Conv2d):
            key = f"{prefix}{name}.weight"
            given = weights.get(key)
            expected = layer.weight.shape
            if given is None or given.ndim != 4 or given.shape[1] != 3 or layer.groups != 1:
                return None
            if expected[1] == 3 or given[:, :1].shape != layer.weight[:, :1].shape:
                return None
            weights[key] = adapt_input_channels(given, expected[1])
            return f"{key} adapted from 3 to {expected[1]} channels"
    return None


def adapt_input_channels(
    weight: Float[Tensor, "filters 3 height width"], in_channels: int
) -> Float[Tensor, "filters in_channels height width"]:
    """Adapt filters for colour images to another number of channels.

    The filters of red, green and blue are repeated in turn, and the weight of a colour is divided among its copies; the
    weight of a colour without a channel is divided among all channels. So a single channel gets the sum of the three,
    and for any number of channels an image whose channels are all equal gives the same response as the grey image of
    three channels.

    This resembles timm's ``adapt_input_conv`` and segmentation_models.pytorch's ``patch_first_conv``, but these scale
    every copy by 3 / in_channels, which preserves the response only for multiples of three.

    Args:
        weight: The filters, shape [F, 3, H, W].
        in_channels: Channels of the images.

    Returns:
        The filters, shape [F, in_channels, H, W].

    Example:
        >>> weight = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1)
        >>> adapt_input_channels(weight, 1).flatten().tolist(), adapt_input_channels(weight, 4).flatten().tolist()
        ([7.0], [0.5, 2.0, 4.0, 0.5])
    """
    copies = torch.eye(3, dtype=weight.dtype).repeat(-(-in_channels // 3), 1)[:in_channels]
    copies[:, in_channels:] = 1
    return torch.einsum("nc,fchw->fnhw", copies / copies.sum(0), weight)
