"""Backbones: an image goes in, feature maps come out, fine to coarse."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from visiontasks.backbones.alexnet import AlexNet
from visiontasks.backbones.backbone import Backbone
from visiontasks.backbones.cnn import CNN
from visiontasks.backbones.googlenet import googlenet, googlenet_torchvision
from visiontasks.backbones.inception_v3 import InceptionV3
from visiontasks.backbones.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
from visiontasks.backbones.timm_backbone import TIMM, TimmBackbone
from visiontasks.backbones.vgg import vgg11, vgg13, vgg16, vgg19
from visiontasks.backbones.wrapped import WrappedBackbone
from visiontasks.errors import ArgumentError, near_matches
from visiontasks.import_paths import check_made, import_maker

__all__ = ["CNN", "Backbone", "WrappedBackbone", "create_backbone", "list_backbones"]


_BUILDERS: dict[str, Callable[..., Backbone]] = {
    "cnn": CNN,
    "alexnet": AlexNet,
    "vgg11": vgg11,
    "vgg13": vgg13,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "vgg11-bn": partial(vgg11, batch_norm=True),
    "vgg13-bn": partial(vgg13, batch_norm=True),
    "vgg16-bn": partial(vgg16, batch_norm=True),
    "vgg19-bn": partial(vgg19, batch_norm=True),
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
    "resnet18-small": partial(resnet18, small_images=True),
    "resnet34-small": partial(resnet34, small_images=True),
    "resnet50-small": partial(resnet50, small_images=True),
    "resnet101-small": partial(resnet101, small_images=True),
    "resnet152-small": partial(resnet152, small_images=True),
    "googlenet": googlenet,
    "googlenet-small": partial(googlenet, small_images=True),
    "googlenet-torchvision": googlenet_torchvision,
    "inception_v3": InceptionV3,
}


def list_backbones() -> list[str]:
    """List the backbones that :func:`create_backbone` knows without timm.

    Returns:
        The names, sorted.

    Example:
        >>> "cnn" in list_backbones()
        True
    """
    return sorted(_BUILDERS)


def create_backbone(name: str, in_channels: int = 3, **options: Any) -> Backbone:  # noqa: ANN401 (the builders type it)
    """Create a backbone by name.

    Args:
        name: One of :func:`list_backbones`; ``timm/NAME`` for a timm model, see
            :class:`~visiontasks.backbones.timm_backbone.TimmBackbone`; or the import path of a :class:`Backbone` of
            your own, or of a function that returns one, such as ``"my_module.MyBackbone"``.
        in_channels: Channels of the images; passed to a class or function of your own if it takes them.
        **options: Arguments of the named backbone.

    Returns:
        The backbone, randomly initialised.

    Raises:
        ArgumentError: If the name is unknown (near matches are listed), cannot be imported or is no backbone, timm is
            needed but missing, or the backbone does not take an option.

    Example:
        >>> create_backbone("cnn", in_channels=1, filters=(8, 16)).channels
        (8, 16, 16)
    """
    if name.startswith(TIMM):
        timm = TimmBackbone(name.removeprefix(TIMM), in_channels, **options)
        return timm if options.get("pretrained") else timm.note_random()
    build = import_maker(name, Backbone) if "." in name else _BUILDERS.get(name)
    if build is None:
        message = (
            f"There is no backbone {name!r}. {near_matches(name, _BUILDERS)} A model of timm is named {TIMM}NAME, one "
            "of your own by its import path, such as my_module.MyBackbone."
        )
        raise ArgumentError(message)
    parameters = inspect.signature(build).parameters.values()
    takes_channels = any(each.name == "in_channels" or each.kind is each.VAR_KEYWORD for each in parameters)
    try:
        backbone = build(**({"in_channels": in_channels} if takes_channels else {}), **options)
    except TypeError as error:
        message = f"backbone {name!r} was given {options}: {error}"
        raise ArgumentError(message) from error
    check_made(backbone, name, Backbone)
    return backbone.note_random() if name in _BUILDERS else backbone
