"""Decoders: feature maps go in, logits for every pixel come out."""

from collections.abc import Callable
from typing import Any

from visiontasks.decoders.decoder import Decoder
from visiontasks.decoders.fcn import FCN
from visiontasks.decoders.fpn import FPN
from visiontasks.decoders.segnet import SegNet
from visiontasks.decoders.unet import UNet
from visiontasks.errors import ArgumentError, near_matches
from visiontasks.import_paths import check_made, import_maker

__all__ = ["Decoder", "create_decoder", "list_decoders"]

_DECODERS: dict[str, Callable[..., Decoder]] = {
    "unet": UNet,
    "fcn": FCN,
    "segnet": SegNet,
    "fpn": FPN,
}


def list_decoders() -> list[str]:
    """List the names that :func:`create_decoder` knows.

    Example:
        >>> "unet" in list_decoders()
        True
    """
    return sorted(_DECODERS)


def create_decoder(
    name: str,
    channels: tuple[int, ...],
    strides: tuple[int, ...],
    num_outputs: int,
    **options: Any,  # noqa: ANN401 (the decoders type it)
) -> Decoder:
    """Create a decoder by name.

    Args:
        name: One of :func:`list_decoders`, or the import path of a :class:`Decoder` of your own, or of a function that
            returns one, such as ``"my_module.MyDecoder"``; it is called with what follows.
        channels: Channels of each feature map, fine to coarse.
        strides: Strides of each feature map, fine to coarse.
        num_outputs: Number of logits per pixel.
        **options: Arguments of the named decoder.

    Returns:
        The decoder, randomly initialised.

    Raises:
        ArgumentError: If the name is unknown (near matches are listed), cannot be imported or is no decoder, or the
            decoder does not take an option.

    Example:
        >>> create_decoder("unet", (16, 32), (1, 2), 5, upsampling="nearest").strides
        (1, 2)
    """
    build = import_maker(name, Decoder) if "." in name else _DECODERS.get(name)
    if build is None:
        message = (
            f"There is no decoder {name!r}. {near_matches(name, _DECODERS)} One of your own is named by its import "
            "path, such as my_module.MyDecoder."
        )
        raise ArgumentError(message)
    try:
        decoder = build(channels, strides, num_outputs, **options)
    except TypeError as error:
        message = f"decoder {name!r} was given {options}: {error}"
        raise ArgumentError(message) from error
    check_made(decoder, name, Decoder)
    return decoder
