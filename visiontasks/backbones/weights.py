"""Pretrained weights of backbones: torchvision's published ones, and files."""

import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.timm_backbone import TIMM, timm_weights
from visiontasks.errors import ArgumentError, CheckpointError, DownloadError, listed
from visiontasks.runs import resolve_checkpoint
from visiontasks.serialization import load_file, name_of
from visiontasks.state_dicts import COMPILED, check_fit

logger = logging.getLogger(__name__)

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_VGGS = ("vgg11", "vgg13", "vgg16", "vgg19")
PUBLISHED: dict[str, str] = {
    **{name: name for name in ("alexnet", "inception_v3", *_RESNETS, *_VGGS)},
    **{f"{name}-bn": f"{name}_bn" for name in _VGGS},
    "googlenet-torchvision": "googlenet",
}
"""Backbones that torchvision publishes weights for, with torchvision's names for them."""

_HEADS = {
    "fc": "the classifier",
    "classifier": "the classifier",
    "aux1": "auxiliary classifiers",
    "aux2": "auxiliary classifiers",
    "AuxLogits": "auxiliary classifiers",
}
_BACKBONE = "backbone."
_COUNTER = "num_batches_tracked"


class WeightsSource(NamedTuple):
    """Weights that were read, and their origin.

    Attributes:
        origin: The file or the name of the published weights, for messages.
        weights: Tensors by name, of a backbone or of a model that contains one.
        contents: The whole checkpoint; empty for a plain state dict.
    """

    origin: str
    weights: dict[str, Tensor]
    contents: dict[str, Any] = {}  # noqa: RUF012 (read only)


class LoadReport(NamedTuple):
    """What was loaded into a backbone, what was left out, and why.

    Attributes:
        origin: The file or the name of the published weights.
        loaded: Names of the backbone's tensors that were loaded, which are all of them.
        left_out: Names in the source that do not belong to the backbone, grouped by the part that they belong to.
        adapted: How the first convolution was adapted; None if its channels matched.
    """

    origin: str
    loaded: list[str]
    left_out: dict[str, list[str]]
    adapted: str | None

    def __str__(self) -> str:
        """Summarise the report in one line."""
        parts = [f"{len(self.loaded)} tensors from {self.origin}, all that the backbone has"]
        if self.adapted:
            parts.append(self.adapted)
        for owner, keys in self.left_out.items():
            parts.append(f"left out {owner}: {listed(keys, 2)}")
        return f"Backbone weights: {'; '.join(parts)}."


def read_weights(weights: str | Path, name: str | None = None) -> WeightsSource:
    """Read weights without running any code that a file may contain.

    Args:
        weights: ``"imagenet"`` for the newest weights that torchvision publishes for the architecture, or timm for one
            of its models, downloaded into the cache of ``torch.hub`` or ``huggingface_hub`` if missing there. Or a
            file, a remote address or a run folder: a state dict, or a checkpoint of any task.
        name: Name of the backbone; None for an unnamed one, which accepts only a file.

    Returns:
        The weights.

    Raises:
        ArgumentError: If the file does not exist, or no weights are published for the backbone.
        DownloadError: If the published weights are not in the cache and cannot be downloaded.
        CheckpointError: If the file is damaged, unsafe, or contains no weights.
    """
    if weights == "imagenet":
        return _published(name)
    expected = "'imagenet', or the path of a state dict or a checkpoint"
    return read_weights_file(weights, "backbone_weights", expected)


def read_weights_file(weights: str | Path, argument: str, expected: str) -> WeightsSource:
    """Read the weights of a file; see :func:`read_weights`.

    Args:
        weights: Path or address of a state dict, or of a checkpoint of any task; a run folder stands for its best one.
        argument: Name of the argument in the message about a missing file.
        expected: What the argument may be, for that message.

    Raises:
        ArgumentError: If there is no such file, or no checkpoint in a folder.
        CheckpointError: If the file is damaged, unsafe, or contains no weights.
    """
    try:
        file = resolve_checkpoint(weights)
    except CheckpointError as error:
        missing = "there is no such file" if not Path(weights).exists() else "that folder holds no checkpoint"
        message = f"{argument} is {str(weights)!r}, and {missing}. Expected {expected}."
        raise ArgumentError(message) from error
    loaded = load_file(file)
    contents = loaded if isinstance(loaded, dict) else {}
    state = contents.get("state_dict", contents)
    tensors = {str(key).replace(COMPILED, ""): value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        message = (
            f"{name_of(file)!r} holds no weights: expected a state dict or a checkpoint with a 'state_dict', found "
            f"{sorted(map(str, contents)) if contents else type(loaded).__name__}."
        )
        raise CheckpointError(message)
    return WeightsSource(repr(name_of(file)), tensors, contents if "state_dict" in contents else {})


def _published(name: str | None) -> WeightsSource:
    if name is not None and name.startswith(TIMM):
        return WeightsSource(f"timm's {name}", timm_weights(name.removeprefix(TIMM)))
    if name not in PUBLISHED:
        owner = f"backbone {name!r}" if name else "a backbone that was passed as an instance"
        message = (
            f"backbone_weights is 'imagenet', but torchvision has published no weights for {owner}. It has for "
            f"{', '.join(PUBLISHED)}. A file is given by its path."
        )
        raise ArgumentError(message)
    return download_published(PUBLISHED[name])


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


def load_weights(backbone: Backbone, source: WeightsSource) -> LoadReport:
    """Load all weights of a backbone; the first convolution is adapted to its number of channels.

    Args:
        backbone: The backbone; changed in place.
        source: The weights, possibly with those of heads, which are left out.

    Returns:
        A report of what was loaded and what was left out; it is also logged.

    Raises:
        CheckpointError: If weights are missing, have other shapes, or belong to no known head; in that case nothing is
            copied.
    """
    expected = backbone.state_dict()
    loaded = source.weights
    # A file may hold a backbone, or a task that contains one.
    prefixes = [_BACKBONE, ""] if any(key.startswith(_BACKBONE) for key in loaded) else [""]
    prefix = max(prefixes, key=lambda prefix: sum(prefix + key in loaded for key in expected))
    weights, left_out = _select(loaded, expected, prefix)
    adapted = adapt_first(backbone, weights)
    # Older files lack the number of batches behind the statistics, which is not needed here.
    missing = {key for key in expected.keys() - weights.keys() if key.endswith(_COUNTER)}
    check_fit(
        {key: expected[key] for key in expected.keys() - missing},
        weights,
        f"The weights from {source.origin} are not those of this {type(backbone).__name__}",
        "Create the backbone with the name and the options that the weights were made with.",
        file="source",
        model="backbone",
    )
    backbone.load_state_dict({**{key: expected[key] for key in missing}, **weights})
    report = LoadReport(source.origin, sorted(weights), left_out, adapted)
    logger.info("%s", report)
    return report


def _select(
    loaded: Mapping[str, Tensor], expected: Mapping[str, Tensor], prefix: str
) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Split weights into those of the backbone, matching or not, and those of other parts."""
    weights: dict[str, Tensor] = {}
    left_out: dict[str, list[str]] = {}
    for key, value in loaded.items():
        part = key.partition(".")[0]
        if key.startswith(prefix) and (prefix or key in expected or part not in _HEADS):
            weights[key.removeprefix(prefix)] = value
        else:
            owner = f"other parts of the task ({part})" if prefix else _HEADS[part]
            left_out.setdefault(owner, []).append(key)
    return weights, left_out


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
