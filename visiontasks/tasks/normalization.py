"""Normalisation as the first step of a task, with buffers that are saved in the checkpoint."""

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import ChannelValues
from visiontasks.backbones.pretrained_config import IMAGENET
from visiontasks.description import Statistics
from visiontasks.errors import ArgumentError, DataError, check_choice
from visiontasks.losses.pixels import PixelBatch, Sizes, inside_of
from visiontasks.sizes import ImageSize, height_and_width
from visiontasks.types import Images

NamedNormalization = Literal["imagenet", "unit", "dataset", "channel_mean", "image_mean", "local_contrast"]
Normalization = NamedNormalization | ChannelValues
MEASURED = ("dataset", "channel_mean", "image_mean")

_OVERSHOOT = 0.1


def check_values(images: Tensor) -> None:
    """Check that images hold what a task normalises: uint8, or floating point in 0 to 1.

    A tenth of overshoot is allowed, as resizing with cubic interpolation makes it. Not for every batch: it waits for
    the device.

    Args:
        images: The images of a batch, shape [B, C, H, W].

    Raises:
        DataError: If they have another type or other values.
    """
    if images.dtype == torch.uint8 or not images.numel():
        return
    low, high = (value.item() for value in images.detach().aminmax())
    if images.is_floating_point() and low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
        return
    remedy = "divide by 255, or give them as uint8"
    if not low >= 0:
        remedy = "give them as they are read: the task normalises them (normalization='imagenet' and others)"
    message = (
        f"The images are {images.dtype} values from {low:g} to {high:g}; expected uint8 in 0 to 255, or floating point "
        f"in 0 to 1: {remedy}."
    )
    raise DataError(message)


class Normalize(nn.Module):
    """Normalise pixels to the range that a network expects.

    Args:
        mode: ``"imagenet"``: subtract ImageNet's mean and divide by its standard deviation (both averaged over the
            channels if there are not three). ``"unit"``: scale to -1 to 1. ``"dataset"``: the mean and standard
            deviation of each channel, measured on the training split. ``"channel_mean"``: only subtract the mean of
            each channel, in pixel units (0 to 255), as VGGNet (Simonyan and Zisserman 2015, section 2.1).
            ``"image_mean"``: only subtract the mean image, in pixel units, as AlexNet (Krizhevsky et al. 2012, section
            2). ``"local_contrast"``: subtract from each pixel the mean of its neighbourhood in each channel, and divide
            by the standard deviation of the neighbourhood over all channels, or by the mean of that over the image if
            larger (Jarrett et al. 2009, What is the best multi-stage architecture for object recognition?, section 2),
            which reduces effects of lighting and weather, as in SegNet (Badrinarayanan et al. 2017, section 4). The
            neighbourhood here is a uniform window of some 20 pixels instead of a Gaussian one of 9. It includes batch
            padding, but not what lies outside a window of a larger image. Or ``{"mean": [...], "std": [...]}`` with a
            number for each channel, pixels in 0 to 1.
        in_channels: Channels of the images.
        image_size: Height and width of the images in pixels; needed by ``"image_mean"``.

    Raises:
        ArgumentError: If the mode is unknown, ``"image_mean"`` has no image size, or numbers are not those of channels.

    Example:
        >>> Normalize("unit", in_channels=1)(torch.tensor([[[[0, 255]]]], dtype=torch.uint8))
        tensor([[[[-1.0000,  1.0000]]]])
    """

    mean: Tensor
    std: Tensor
    measured: Tensor

    def __init__(self, mode: Normalization, in_channels: int, image_size: ImageSize | None = None) -> None:
        super().__init__()
        if isinstance(mode, str):
            check_choice("normalization", mode, get_args(NamedNormalization))
        self.mode = mode
        shape: tuple[int, ...] = (in_channels, 1, 1)
        mean, std = torch.zeros(shape), torch.ones(shape)
        if mode == "imagenet":
            mean, std = _buffers(over_channels(IMAGENET, in_channels))
        elif not isinstance(mode, str):
            mean, std = _buffers(_checked(mode, in_channels))
        elif mode == "unit":
            mean, std = mean + 0.5, std / 2
        elif mode == "image_mean":
            if image_size is None:
                message = "normalization 'image_mean' subtracts one mean image: give image_size=(height, width)."
                raise ArgumentError(message)
            mean = torch.zeros(in_channels, *height_and_width("image_size", image_size))
        if mode in ("channel_mean", "image_mean"):
            std = std / 255
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.register_buffer("measured", torch.tensor(mode not in MEASURED))

    def set_statistics(self, statistics: Statistics) -> None:
        """Adopt statistics measured on a training split; modes that do not use them ignore them.

        Args:
            statistics: The statistics, pixels in 0 to 1.

        Raises:
            ArgumentError: If their shapes do not fit, or a mean image is needed but missing.
        """
        if self.mode not in MEASURED:
            return
        mean = statistics.mean_image if self.mode == "image_mean" else statistics.mean[:, None, None]
        if mean is None or mean.shape != self.mean.shape:
            given = "there is none" if mean is None else f"it has shape {list(mean.shape)}"
            message = (
                f"normalization {self.mode!r} needs a mean of shape {list(self.mean.shape)}, but {given}. 'image_mean' "
                "works with images of one fixed size only; 'channel_mean' and 'dataset' with any."
            )
            raise ArgumentError(message)
        self.mean.copy_(mean)
        if self.mode == "dataset":
            # A constant channel has a standard deviation of 0.
            self.std.copy_(statistics.std[:, None, None].clamp(min=1 / 255))
        self.measured.fill_(True)

    def check_measured(self) -> None:
        """Check that statistics have been measured if the mode needs them.

        Raises:
            ArgumentError: If they have not.
        """
        if not self.measured:
            message = (
                f"normalization {self.mode!r} is measured on the training data when a fit begins, and was not. "
                "Train with a VisionDataModule, call task.normalize.set_statistics(...), or use 'imagenet' or 'unit'."
            )
            raise ArgumentError(message)

    def check_image_size(self, image_size: tuple[int, int] | None) -> None:
        """Check that the mean image has the size of the images.

        Args:
            image_size: Height and width in pixels; None if images differ in size.

        Raises:
            ArgumentError: If it does not.
        """
        if self.mode == "image_mean" and image_size != tuple(self.mean.shape[1:]):
            message = (
                f"The images of the data have {f'the size {image_size}' if image_size else 'different sizes'}, the "
                f"mean image of normalization 'image_mean' has {tuple(self.mean.shape[1:])}. Use images of one fixed "
                "size, or 'channel_mean' or 'dataset', which work with any."
            )
            raise ArgumentError(message)

    def forward(self, images: Images, sizes: Sizes | None = None) -> PixelBatch:
        """Normalise images.

        Args:
            images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
            sizes: Height and width of each image inside the padding, which is 0 after normalisation, whatever the mean;
                None for no padding.

        Returns:
            Floats of the same shape.
        """
        normalized = self._of_pixels(images)
        if sizes is None:
            return normalized
        return torch.where(inside_of(sizes, (images.shape[-2], images.shape[-1])), normalized, 0.0)

    def fill(self, images: Images, sizes: Sizes) -> Images:
        """Fill the padding with pixels that are 0 after normalisation, up to the rounding of uint8.

        Args:
            images: Pixels, uint8 in 0 to 255 or float in 0 to 1.
            sizes: Height and width of each image inside the padding.
        """
        if self.mean.shape[-2:] != (1, 1):
            return images  # a mean image is of images that all have its size
        pixel = self.mean if images.is_floating_point() else (255 * self.mean).round()
        return torch.where(inside_of(sizes, (images.shape[-2], images.shape[-1])), images, pixel.to(images.dtype))

    def _of_pixels(self, images: Images) -> PixelBatch:
        if self.mode == "local_contrast":
            pixels = images.to(self.mean.dtype)
            return _local_contrast(pixels if images.is_floating_point() else pixels / 255)
        scale = 1 / self.std
        shift = -self.mean * scale
        if not images.is_floating_point():
            scale = scale / 255
        return torch.addcmul(shift, images.to(self.mean.dtype), scale)


def over_channels(values: ChannelValues, in_channels: int) -> ChannelValues:
    """Average the values of colour images over their channels if the images have another number of channels.

    Args:
        values: Mean and standard deviation of each channel.
        in_channels: Channels of the images.

    Returns:
        Those of each channel of the images.
    """
    if len(values["mean"]) == in_channels:
        return values
    mean, std = (sum(of) / len(of) for of in (values["mean"], values["std"]))
    return ChannelValues(mean=[mean] * in_channels, std=[std] * in_channels)


def _buffers(values: ChannelValues) -> list[Tensor]:
    return [torch.tensor(of)[:, None, None] for of in (values["mean"], values["std"])]


def _checked(values: Any, in_channels: int) -> ChannelValues:  # noqa: ANN401 (whatever a user gives)
    """Check numbers that were given, and make them plain.

    Raises:
        ArgumentError: If they are not a mean and a standard deviation of each channel, of pixels in 0 to 1.
    """
    wrong = None
    if not isinstance(values, dict) or set(values) != {"mean", "std"}:
        wrong = "expected the keys 'mean' and 'std'"
    elif not all(_are_numbers(values[key], in_channels) for key in ("mean", "std")):
        wrong = f"expected {in_channels} numbers for each of the two, as the images have {in_channels} channels"
    elif min(values["std"]) <= 0:
        wrong = "expected standard deviations above 0"
    elif max(*values["mean"], *values["std"]) > 1 or min(values["mean"]) < 0:
        wrong = "expected values of pixels in 0 to 1: divide those of pixels in 0 to 255 by 255"
    if wrong:
        message = f"normalization is {values!r}; {wrong}."
        raise ArgumentError(message)
    return ChannelValues(mean=[float(of) for of in values["mean"]], std=[float(of) for of in values["std"]])


def _are_numbers(values: object, count: int) -> bool:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != count:
        return False
    return all(isinstance(value, int | float) and math.isfinite(value) for value in values)


def _local_contrast(
    images: Float[Tensor, "batch channels height width"],
) -> Float[Tensor, "batch channels height width"]:
    centered = images - _surroundings(images)
    deviation = _surroundings(centered.square().mean(1, keepdim=True)).sqrt()
    # In uniform areas noise is not amplified above the contrast of the rest of the image.
    deviation = torch.maximum(deviation, deviation.mean((2, 3), keepdim=True)).clamp(min=1 / 255)
    return centered / deviation


def _surroundings(x: Float[Tensor, "batch channels height width"]) -> Float[Tensor, "batch channels height width"]:
    """Average the neighbourhood of each pixel at a quarter of the resolution, which costs a sixteenth."""
    height, width = x.shape[-2:]
    coarse = F.avg_pool2d(F.pad(x, (0, -width % 4, 0, -height % 4), mode="replicate"), 4)
    coarse = F.avg_pool2d(coarse, 5, stride=1, padding=2, count_include_pad=False)
    return F.interpolate(coarse, scale_factor=4, mode="bilinear", align_corners=False)[..., :height, :width]
