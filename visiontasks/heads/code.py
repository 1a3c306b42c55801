"""Codes of an autoencoder: layers that encode a feature map to a code and decode it again."""

import math
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.layers import Activation, Norm, make_activation, make_norm
from visiontasks.errors import ArgumentError, check_choice

CodeForm = Literal["vector", "map"]

Map = Float[Tensor, "batch _ rows columns"]


class VectorCode(nn.Module):
    """A code that is a vector: linear layers from all values of a feature map, and back to all of another.

    Args:
        in_channels: Channels of the map that is encoded.
        out_channels: Channels of the map that is decoded.
        map_size: Height and width of both.
        code_size: Number of values of a code.
        outputs: Number of vectors that :meth:`encode` returns; 2 for mean and variance.
        norm: Normalisation of the decoded map, see :func:`~visiontasks.backbones.layers.make_norm`.
        activation: Activation of the decoded map, see :func:`~visiontasks.backbones.layers.make_activation`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        map_size: tuple[int, int],
        code_size: int,
        outputs: int,
        norm: Norm,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.shape = (out_channels, *map_size)
        self.into = nn.Linear(in_channels * math.prod(map_size), outputs * code_size)
        self.out_of = nn.Linear(code_size, math.prod(self.shape))
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation)

    def encode(self, features: Map) -> Float[Tensor, "batch code"]:
        """Compute codes.

        Args:
            features: A map of the size that the code was created for.

        Raises:
            ArgumentError: If it has another size.
        """
        if features.shape[-2:] != self.shape[1:]:
            message = (
                f"The images give a feature map of {features.shape[-2]} x {features.shape[-1]}; a code that is a "
                f"vector was made for {self.shape[1]} x {self.shape[2]}. Resize the images to the image_size of the "
                "task, or train with code='map', which takes any size."
            )
            raise ArgumentError(message)
        code: Tensor = self.into(features.flatten(1))
        return code

    def decode(self, codes: Float[Tensor, "batch code"]) -> Map:
        """Compute the map that images are decoded from."""
        decoded: Tensor = self.activation(self.norm(self.out_of(codes).unflatten(1, self.shape)))
        return decoded


class MapCode(nn.Module):
    """A code that is a map: 1x1 convolutions, so that every position has its own code, for any image size.

    Args:
        in_channels: Channels of the map that is encoded.
        out_channels: Channels of the map that is decoded.
        code_size: Channels of a code.
        outputs: Number of maps that :meth:`encode` returns; 2 for mean and variance.
        norm: Normalisation of the decoded map, see :func:`~visiontasks.backbones.layers.make_norm`.
        activation: Activation of the decoded map, see :func:`~visiontasks.backbones.layers.make_activation`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        code_size: int,
        outputs: int,
        norm: Norm,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.into = nn.Conv2d(in_channels, outputs * code_size, 1)
        self.out_of = nn.Conv2d(code_size, out_channels, 1)
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation)

    def encode(self, features: Map) -> Map:
        """Compute codes, of the height and width of the map."""
        code: Tensor = self.into(features)
        return code

    def decode(self, codes: Map) -> Map:
        """Compute the map that images are decoded from."""
        decoded: Tensor = self.activation(self.norm(self.out_of(codes)))
        return decoded


def create_code(
    form: CodeForm,
    in_channels: int,
    out_channels: int,
    code_size: int,
    map_size: tuple[int, int] | None,
    outputs: int = 1,
    norm: Norm = "batch",
    activation: Activation = "relu",
) -> VectorCode | MapCode:
    """Create a code by name.

    Args:
        form: ``"vector"`` or ``"map"``.
        in_channels: Channels of the map that is encoded.
        out_channels: Channels of the map that is decoded.
        code_size: Number of values of a vector, or of channels of a map.
        map_size: Height and width of both maps; needed by a vector.
        outputs: Number of codes per image; 2 for mean and variance.
        norm: Normalisation of the decoded map, see :func:`~visiontasks.backbones.layers.make_norm`.
        activation: Activation of the decoded map, see :func:`~visiontasks.backbones.layers.make_activation`.

    Raises:
        ArgumentError: If the name is unknown, or ``map_size`` is missing for a vector.
    """
    check_choice("code", form, get_args(CodeForm))
    if form == "map":
        return MapCode(in_channels, out_channels, code_size, outputs, norm, activation)
    if map_size is None:
        message = (
            "A code that is a vector is made for images of one size: give image_size=(height, width), or code='map', "
            "which takes images of any size."
        )
        raise ArgumentError(message)
    return VectorCode(in_channels, out_channels, map_size, code_size, outputs, norm, activation)


def embedding(codes: Float[Tensor, "batch code"] | Map) -> Float[Tensor, "batch code"]:
    """Return a code as a vector; a map is averaged over its positions."""
    return codes.flatten(2).mean(2) if codes.ndim == 4 else codes
