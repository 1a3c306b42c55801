"""The steps of an augmentation pipeline: which transforms it may have, and what they may make of an image."""

import inspect
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from visiontasks.data.images.arrays import Pixels
from visiontasks.errors import ArgumentError
from visiontasks.import_paths import import_callable

_NORMALIZED = "pixels stay uint8, and the task normalises them (its argument normalization)"
_TENSOR = "images become tensors after the augmentation"
_BATCH = "it mixes images of a batch (ClassificationTask has mixup and cutmix)"
_OWN_FUNCTION = (
    "A function of yours is one as albumentations.Lambda(image=FUNCTION, name='...'), for def FUNCTION(image, **_)."
)
_LEFT_OUT = {
    **dict.fromkeys(("Normalize", "ToFloat", "FromFloat", "ToDtype", "ConvertImageDtype"), _NORMALIZED),
    **dict.fromkeys(("ToTensorV2", "ToTensor3D", "ToTensor", "PILToTensor", "ToPureTensor", "ToPILImage"), _TENSOR),
    **dict.fromkeys(("MixUp", "CutMix"), _BATCH),
}
"""Transforms whose work is done elsewhere, with where."""

_IMAGES_ONLY = {"AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix"}
_TRUTH = {
    "detection": "boxes",
    "instances": "boxes and masks",
    "localization": "boxes",
    "segmentation": "masks",
}
_OF_BOXES = {"RandomIoUCrop", "SanitizeBoundingBoxes", "ClampBoundingBoxes", "ConvertBoundingBoxFormat"}


def import_pipeline(path: str, own: tuple[type, ...]) -> Any:  # noqa: ANN401 (of either library)
    """Import a pipeline, or the function that returns it.

    Args:
        path: Its import path, such as ``"my_module.pipeline"``.
        own: Base classes of the transforms of Albumentations.

    Raises:
        ArgumentError: If there is none, or it is a function that needs arguments, or fails.
    """
    made = import_callable(path)
    if isinstance(made, own) or is_of_torchvision(made):
        return made
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        message = (
            f"augmentation {path!r} needs arguments ({error}); expected a function without any that returns the "
            f"pipeline. {_OWN_FUNCTION}"
        )
        raise ArgumentError(message) from error
    try:
        return made()
    except Exception as error:  # whatever the function raises
        message = f"augmentation {path!r} failed: {type(error).__name__}: {error}. Correct the function."
        raise ArgumentError(message) from error


def is_of_torchvision(step: object) -> bool:
    """Return whether a transform is one of torchvision's, of either version, or a subclass."""
    return any(kind.__module__.startswith("torchvision.transforms") for kind in type(step).__mro__)


def leaves(steps: Sequence[Any]) -> Iterator[Any]:
    """Yield the transforms of a pipeline one by one, those inside of compositions as well."""
    for step in steps:
        inner = getattr(step, "transforms", None)
        yield from [step] if inner is None else leaves(list(inner))


def check_steps(steps: Sequence[Any], own: type) -> None:
    """Check that all transforms are of one library, and that their images stay pixels.

    Args:
        steps: The transforms.
        own: Base class of those of Albumentations.

    Raises:
        ArgumentError: If they are not.
    """
    of_torchvision = [is_of_torchvision(step) for step in leaves(steps)]
    if any(of_torchvision) and not all(of_torchvision):
        message = "The augmentation has transforms of torchvision beside others; expected those of one library."
        raise ArgumentError(message)
    for step in leaves(steps):
        name = type(step).__name__
        if not is_of_torchvision(step) and not isinstance(step, own):
            message = (
                f"The augmentation has {step!r}; expected transforms of Albumentations or torchvision.transforms.v2. "
                f"{_OWN_FUNCTION}"
            )
            raise ArgumentError(message)
        if name in _LEFT_OUT and getattr(step, "dtype", None) != torch.uint8:
            message = f"The augmentation has {name}: {_LEFT_OUT[name]}. Leave it out."
            raise ArgumentError(message)


def check_task(pipeline: Any, task: str) -> None:  # noqa: ANN401 (of either library)
    """Check that transforms of torchvision take the boxes or masks of a task, and need no others.

    Args:
        pipeline: A composition.
        task: Name of the task, such as ``"detection"``.

    Raises:
        ArgumentError: If one does not.
    """
    truth = _TRUTH.get(task, "classes alone")
    for step in leaves([pipeline]):
        name = type(step).__name__
        unmoved, needed = name in _IMAGES_ONLY and truth != "classes alone", name in _OF_BOXES and "boxes" not in truth
        if is_of_torchvision(step) and (unmoved or needed):
            why = "changes images alone" if unmoved else "needs boxes"
            message = f"The augmentation has {name}, which {why}; the samples of {task} have {truth}. Leave it out."
            raise ArgumentError(message)


def check_channels(pipeline: Any, channels: int) -> None:  # noqa: ANN401 (of torchvision)
    """Check that a pipeline of torchvision takes images of some channels, whatever it draws.

    Raises:
        ArgumentError: If it changes colours, which other images than grey and RGB ones do not have.
    """
    for step in leaves([pipeline]):
        if type(step).__name__ in _IMAGES_ONLY and channels not in (1, 3):
            message = (
                f"The augmentation has {type(step).__name__}, which changes colours, and images have {channels} "
                "channels; expected 1 or 3. Take another augmentation, such as 'light'."
            )
            raise ArgumentError(message)


def check_pixels(
    pixels: Any,  # noqa: ANN401 (whatever a transform returns)
    before: Pixels,
) -> UInt8[np.ndarray, "rows columns channels"]:
    """Check what a pipeline made of an image.

    Args:
        pixels: The result.
        before: The image, shape [H, W, C].

    Returns:
        The result, shape [H, W, C].

    Raises:
        ArgumentError: If it is no array of uint8, or has another number of channels.
    """
    if isinstance(pixels, np.ndarray) and pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[2:] != before.shape[2:]:
        form = f"{pixels.dtype}, shape {list(pixels.shape)}" if hasattr(pixels, "dtype") else type(pixels).__name__
        message = (
            f"The augmentation made {form} of an image of uint8, shape {list(before.shape)}; expected uint8 and as "
            "many channels: the task normalises pixels, and in_channels of the data says how many channels are read."
        )
        raise ArgumentError(message)
    kept: UInt8[np.ndarray, "rows columns channels"] = pixels
    return kept
