"""Weights that torchvision and timm publish."""

from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch

from visiontasks.backbones.timm_backbone import TIMM, timm_normalization
from visiontasks.backbones.weight_files import WeightsSource
from visiontasks.errors import ArgumentError, CheckpointError, DownloadError

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")
PUBLISHED: dict[str, str] = {
    **{name: name for name in ("alexnet", "inception_v3", *_RESNETS, *_VGGS)},
    **{f"{name}-bn": f"{name}_bn" for name in _VGGS},
    "googlenet-torchvision": "googlenet",
}
"""Backbones that torchvision publishes weights for, with torchvision's names for them."""


def download_published(model: str) -> WeightsSource:
    """Read the newest weights that torchvision publishes for a model; what is downloaded is kept by ``torch.hub``.

    Args:
        model: Torchvision's name of it.

    Raises:
        DownloadError: If they are not in the cache and cannot be downloaded.
        CheckpointError: If the file in the cache is damaged.
    """
    # Imported here because it takes seconds and only published weights need it.
    from torchvision.models import get_model_weights

    weights = get_model_weights(model).DEFAULT
    try:
        state = weights.get_state_dict(map_location="cpu", check_hash=True, weights_only=True)
    except Exception as error:  # of the network, the disk, or the file
        cached = Path(torch.hub.get_dir(), "checkpoints", PurePosixPath(urlsplit(weights.url).path).name)
        if cached.is_file():
            message = (
                f"{str(cached)!r}, the downloaded weights of {model!r}, is damaged ({type(error).__name__}). Delete "
                f"it; it is then downloaded again from {weights.url}."
            )
            raise CheckpointError(message) from error
        message = (
            f"The weights of {model!r} could not be downloaded from {weights.url} ({error}). Without a network, put "
            f"this file at {str(cached)!r}."
        )
        raise DownloadError(message) from error
    return WeightsSource(f"torchvision's {weights}", state)


def published_by_timm(name: str) -> WeightsSource:
    """Read the weights that timm publishes for a model, from the cache or the network.

    Args:
        name: Name in timm.

    Returns:
        The weights, with three input channels.

    Raises:
        ArgumentError: If there are none.
        DownloadError: If they are not in the cache and cannot be downloaded.
    """
    import timm

    if not timm.is_model_pretrained(name):
        message = f"backbone_weights is 'imagenet', but timm has published no weights for {name!r}."
        raise ArgumentError(message)
    try:
        model: Any = timm.create_model(name, pretrained=True, features_only=True)
    except Exception as error:  # of the network, the disk, or the file
        message = (
            f"The weights of 'timm/{name}' could not be downloaded ({type(error).__name__}: {error}). With a network "
            f"once, timm.create_model({name!r}, pretrained=True) puts them into the cache of huggingface_hub."
        )
        raise DownloadError(message) from error
    return WeightsSource(f"timm's {TIMM}{name}", model.state_dict(), normalization=timm_normalization(name))
