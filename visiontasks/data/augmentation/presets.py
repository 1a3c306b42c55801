"""Augmentation presets as plain data: the transforms of each task in the order of application."""

from typing import Any, NamedTuple

from visiontasks.data.augmentation.large_scale_jitter import LargeScaleJitter
from visiontasks.data.augmentation.resizing import Within
from visiontasks.errors import ArgumentError, near_matches

Step = tuple[str, dict[str, Any]]
"""Name of a transform of Albumentations (or ColorMatrix, or after ``v2.`` of torchvision) and its arguments."""

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


_OF_OBJECTS: dict[str, tuple[Step, ...]] = {
    "none": (),
    "light": (_FLIP,),
    "default": (_FLIP, _COLOR),
    "multiscale": (_FLIP, _COLOR),
    "large-scale-jitter": (_FLIP, _COLOR),
    "strong": (_FLIP, ("BBoxSafeRandomCrop", {"erosion_rate": 0.2, "p": 0.5}), _STRONG_COLOR, _BLUR),
}

PRESETS: dict[str, dict[str, tuple[Step, ...]]] = {
    "classification": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, _COLOR),
        "strong": (_FLIP, _move(15, (0.85, 1.15), 0.1), _STRONG_COLOR, _BLUR, _ERASE),
        "trivial": (_FLIP,),
        "randaugment": (_FLIP,),
    },
    "localization": {
        "none": (),
        "light": (_FLIP,),
        "default": (_FLIP, _COLOR),
        "strong": (_FLIP, _move(5, (0.7, 1.2), 0.1), _STRONG_COLOR, _BLUR),
    },
    "detection": _OF_OBJECTS,
    "instances": _OF_OBJECTS,
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


ADDITIONS: dict[str, tuple[str, ...]] = {
    "classification": ("erasing",),
    "detection": ("copy-paste",),
    "instances": ("copy-paste",),
    "segmentation": ("class-aware",),
}
"""What can be added to any preset of a task: ``trivial+erasing``."""

_BILINEAR = 2  # by Pillow's number, as torchvision 0.25 takes no name

VIEW_STEPS: dict[str, Step] = {
    "trivial": ("v2.TrivialAugmentWide", {"interpolation": _BILINEAR}),
    "randaugment": ("v2.RandAugment", {"interpolation": _BILINEAR}),
    "erasing": ("Erasing", {"scale": (0.02, 0.33), "ratio": (0.3, 3.3), "fill": "random", "p": 0.25}),
}
"""Transforms of the image as the network sees it, after it was cropped and resized, by preset or addition."""

RESIZED = ("multiscale", "large-scale-jitter", "class-aware")
"""Presets and additions that decide how images of files are cropped and resized."""

PASTED = 0.5
"""Share of the images to which copy-paste adds objects."""


class Preset(NamedTuple):
    """A preset and what is added to it.

    Attributes:
        base: Name of the preset.
        additions: Names of the additions.
    """

    base: str
    additions: tuple[str, ...]

    @property
    def view_steps(self) -> tuple[Step, ...]:
        """The transforms of the image as the network sees it."""
        return tuple(VIEW_STEPS[name] for name in (self.base, *self.additions) if name in VIEW_STEPS)


def get_preset(task: str, name: str) -> Preset:
    """Look up an augmentation preset.

    Args:
        task: Name of the task, such as ``"detection"``.
        name: Name of the preset, such as ``"default"``, with additions such as ``"default+copy-paste"``. An addition
            alone is added to ``"default"``.

    Raises:
        ArgumentError: If there is no preset or addition of that name for the task; near matches are listed.

    Example:
        >>> get_preset("detection", "copy-paste")
        Preset(base='default', additions=('copy-paste',))
        >>> PRESETS["detection"]["light"]
        (('HorizontalFlip', {'p': 0.5}),)
    """
    if task not in PRESETS:
        message = f"unknown task {task!r}. {near_matches(task, PRESETS)}"
        raise ArgumentError(message)
    known = (*PRESETS[task], *ADDITIONS.get(task, ()))
    names = name.split("+")
    for each in names:
        if each not in known:
            tasks = [other for other in PRESETS if each in (*PRESETS[other], *ADDITIONS.get(other, ()))]
            elsewhere = f" It is one of {', '.join(tasks)}." if tasks else ""
            message = f"unknown augmentation {each!r} for {task}.{elsewhere} {near_matches(each, known)}"
            raise ArgumentError(message)
    bases = [each for each in names if each in PRESETS[task]] or ["default"]
    additions = tuple(each for each in names if each not in PRESETS[task])
    if len(bases) > 1 or len(set(additions)) < len(additions):
        only = ", ".join(ADDITIONS.get(task, ())) or "nothing"
        message = f"augmentation is {name!r}; expected one preset, to which {only} can be added once."
        raise ArgumentError(message)
    return Preset(bases[0], additions)


def check_whole(name: str) -> None:
    """Check that an augmentation is one for images in memory, which are seen whole, by themselves and in one size.

    Args:
        name: Name of the preset and of what is added to it.

    Raises:
        ArgumentError: If it crops, resizes or combines images.
    """
    for each in name.split("+"):
        if each in (*RESIZED, "copy-paste"):
            message = (
                f"augmentation {each!r} is for images in files; generated ones and digits take those that change "
                "each image by itself and keep its size."
            )
            raise ArgumentError(message)


def detection_resizing(name: str, shorter: int = 800, longer: int = 1333) -> Within:
    """Choose how detection images are resized in training.

    Args:
        name: Preset of the augmentation.
        shorter: Shorter side in pixels.
        longer: Maximum longer side in pixels.

    Returns:
        For ``"multiscale"``, eleven shorter sides from 0.6 to 1 times ``shorter`` (480 to 800, as in Detectron2); for
        ``"large-scale-jitter"``, 0.1 to 2 times the size; otherwise a single one.
    """
    names = name.split("+")
    if "large-scale-jitter" in names:
        return LargeScaleJitter(shorter, longer)
    if "multiscale" in names:
        return Within(tuple(round(shorter * (0.6 + 0.04 * step)) for step in range(11)), longer)
    return Within(shorter, longer)
