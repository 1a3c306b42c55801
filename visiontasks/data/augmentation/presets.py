"""Augmentation presets as plain data: the transforms of each task in the order of application."""

from typing import Any

from visiontasks.data.augmentation.resizing import Within
from visiontasks.errors import ArgumentError, near_matches

Step = tuple[str, dict[str, Any]]
"""Name of a transform of Albumentations (or ColorMatrix) and its arguments."""

_FLIP: Step = ("HorizontalFlip", {"p": 0.5})
_COLOR: Step = ("ColorMatrix", {"brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.02, "p": 0.8})
_STRONG_COLOR: Step = ("ColorMatrix", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1, "p": 0.8})
_BLUR: Step = ("GaussianBlur", {"sigma_limit": (0.3, 1.5), "p": 0.1})
_ERASE: Step = ("CoarseDropout", {"num_holes_range": (1, 1), "fill": "random_uniform", "p": 0.25})


def _move(degrees: float, scale: tuple[float, float], translate: float) -> Step:
    shift = {"x": (-translate, translate), "y": (-translate, translate)}
    return (
        "Affine",
        {"rotate": (-degrees, degrees), "scale": scale, "keep_ratio": True, "translate_percent": shift, "p": 0.7},
    )


PRESETS: dict[str, dict[str, tuple[Step, ...]]] = {
    "classification": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, _COLOR),
        "strong": (_FLIP, _move(15, (0.85, 1.15), 0.1), _STRONG_COLOR, _BLUR, _ERASE),
    },
    "localization": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, _COLOR),
        "strong": (_FLIP, _move(5, (0.7, 1.2), 0.1), _STRONG_COLOR, _BLUR),
    },
    "detection": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, _COLOR),
        "multiscale": (_FLIP, _COLOR),
        "strong": (_FLIP, ("BBoxSafeRandomCrop", {"erosion_rate": 0.2, "p": 0.5}), _STRONG_COLOR, _BLUR),
    },
    "segmentation": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, _COLOR),
        "strong": (_FLIP, _move(10, (0.9, 1.1), 0.05), _STRONG_COLOR, _BLUR),
    },
    "autoencoding": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, ("ColorMatrix", {"brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "p": 0.8})),
        "strong": (_FLIP, _move(10, (0.85, 1.15), 0.1), _COLOR),
    },
}


def get_preset(task: str, name: str) -> tuple[Step, ...]:
    """Look up an augmentation preset.

    Args:
        task: Name of the task, such as ``"detection"``.
        name: Name of the preset, such as ``"default"``.

    Raises:
        ArgumentError: If there is no preset of that name; near matches are listed.

    Example:
        >>> get_preset("detection", "light")
        (('HorizontalFlip', {'p': 0.5}),)
    """
    for kind, known, given in (("task", PRESETS, task), ("augmentation", PRESETS.get(task, {}), name)):
        if given not in known:
            where = f" for {task}" if kind == "augmentation" else ""
            message = f"unknown {kind} {given!r}{where}. {near_matches(given, known)}"
            raise ArgumentError(message)
    return PRESETS[task][name]


def detection_resizing(name: str, shorter: int = 800, longer: int = 1333) -> Within:
    """Choose how detection images are resized in training.

    Args:
        name: Preset of the augmentation.
        shorter: Shorter side in pixels.
        longer: Maximum longer side in pixels.

    Returns:
        For ``"multiscale"``, eleven shorter sides from 0.6 to 1 times ``shorter`` (480 to 800, as in Detectron2);
        otherwise a single one.
    """
    if name != "multiscale":
        return Within(shorter, longer)
    return Within(tuple(round(shorter * (0.6 + 0.04 * step)) for step in range(11)), longer)
