"""Augmentation with Albumentations, which is imported once a pipeline is made: it takes long; or with torchvision's.

Albumentations' own seeding repeats the random numbers of one worker in the others, and those of an epoch in the next.
Its ``set_random_seed`` gives every transform the same seed, so that two transforms of equal probability are applied
together or not at all. Here all transforms of a pipeline share one pair of generators, which is recreated for every
sample.
"""

import pickle
import warnings
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from jaxtyping import Float64, Int64, UInt8

from visiontasks.data.augmentation.mask_planes import Planes, joined, separate
from visiontasks.data.augmentation.presets import PASTED, PRESETS, get_preset
from visiontasks.data.augmentation.steps import (
    check_pixels,
    check_steps,
    check_task,
    import_pipeline,
    is_of_torchvision,
    leaves,
)
from visiontasks.data.augmentation.torchvision_pipeline import TorchvisionPipeline
from visiontasks.data.augmentation.windows import clip_boxes
from visiontasks.data.images.arrays import Pixels
from visiontasks.data.index.boxes import LEAST_SIDE
from visiontasks.errors import ArgumentError, near_matches
from visiontasks.types import IGNORED

_NEAREST = (cv2.INTER_NEAREST, cv2.INTER_NEAREST_EXACT)


class Augmented(NamedTuple):
    """An image and its annotations after augmentation.

    Attributes:
        pixels: The image.
        boxes: The remaining boxes, xyxy in pixels, inside the image.
        kept: Position of each remaining box among the given ones, to select its label.
        mask: The mask, or the planes of all masks, those of dropped objects as well; None if none was given.
    """

    pixels: Pixels
    boxes: Float64[np.ndarray, "kept 4"]
    kept: Int64[np.ndarray, " kept"]
    mask: UInt8[np.ndarray, "rows columns"] | Planes | None


class Augmentation:
    """A pipeline of Albumentations or ``torchvision.transforms.v2``, applied to image, boxes and mask together.

    Boxes are clipped to the image before and after. Masks are never interpolated, and mask pixels from outside the
    image are ignored (255), whatever the ``fill_mask`` of a transform is.

    Args:
        pipeline: A transform, a composition, or a list of them, all of the same library.
        visible: Minimum fraction of its area that a box must keep when the image is cropped, 0 to 1.

    Attributes:
        views: Changes of an image without boxes or mask, as the network sees it: after it is cropped and resized.
        pasted: Detection: share of the images to which objects of another one are added.

    Raises:
        ArgumentError: If a transform would interpolate masks, or gives anything but uint8 pixels, or is of neither
            library.

    Example:
        >>> import albumentations as A
        >>> flip = Augmentation([A.HorizontalFlip(p=1)])
        >>> box = np.array([[0.0, 2.0, 3.0, 8.0]])
        >>> flip(np.zeros((8, 10, 3), np.uint8), seed=0, boxes=box).boxes.round(4).tolist()
        [[7.0, 2.0, 10.0, 8.0]]
    """

    def __init__(self, pipeline: Any, visible: float = 0.1) -> None:  # noqa: ANN401 (Albumentations has no types)
        import albumentations as A

        if type(pipeline) is A.Compose and pipeline.p == 1:
            pipeline = pipeline.transforms  # one composition less, which would draw its own random number
        steps = list(pipeline) if isinstance(pipeline, list | tuple) else [pipeline]
        self.visible, self.empty = visible, not steps
        self.views: tuple[Augmentation, ...] = ()
        self.pasted = 0.0
        check_steps(steps, A.BasicTransform)
        self.torchvision: TorchvisionPipeline | None = None
        if steps and is_of_torchvision(steps[0]):
            self.torchvision = TorchvisionPipeline(steps)
            self.pipeline: Any = self.torchvision.steps
            return
        for step in leaves(steps):
            if getattr(step, "mask_interpolation", None) not in (None, *_NEAREST):
                message = (
                    f"{type(step).__name__} has mask_interpolation={step.mask_interpolation}, which mixes classes; "
                    "expected cv2.INTER_NEAREST or cv2.INTER_NEAREST_EXACT."
                )
                raise ArgumentError(message)
            if getattr(step, "fill_mask", None) is not None:
                step.fill_mask = float(IGNORED)
            if isinstance(step, A.Lambda) and step.name is None:
                step.name = "Lambda"  # without a name, neither its description nor its repr can be made
        self.pipeline = A.Compose(steps)
        # Boxes carry their position as a fifth number, which Albumentations passes on.
        params = A.BboxParams("pascal_voc", min_visibility=visible, clip=True)
        with warnings.catch_warnings(action="ignore"):  # it warns if no transform moves boxes
            self.pipeline_with_boxes = A.Compose(steps, bbox_params=params)

    @classmethod
    def create(cls, task: str, given: Any = "default", visible: float = 0.1) -> Self:  # noqa: ANN401 (see Args)
        """Create an augmentation from a name, arguments, a description or a pipeline.

        Args:
            task: Task whose presets are used, such as ``"detection"``.
            given: Name of a preset, see :func:`~visiontasks.data.augmentation.presets.get_preset`, arguments of
                transforms by their names (those of Albumentations and ``ColorMatrix``), such as
                ``{"HorizontalFlip": {"p": 0.5}}``, a description returned by ``albumentations.to_dict`` or
                :meth:`describe`, a pipeline of Albumentations or ``torchvision.transforms.v2``, or the import path of
                one or of a function that returns it, such as ``"my_module.pipeline"``.
            visible: Minimum fraction of its area that a box must keep, 0 to 1.

        Raises:
            ArgumentError: If there is no such preset, or the description is wrong.
        """
        if isinstance(given, cls):
            check_task(given.pipeline, task)
            return given
        if isinstance(given, str) and "." in given:
            import albumentations as A

            given = import_pipeline(given, (A.BasicTransform, A.BaseCompose))
        if isinstance(given, str):
            preset = get_preset(task, given)
            made = cls([_transform(*step) for step in PRESETS[task][preset.base]], visible)
            made.views = tuple(cls(_transform(*step)) for step in preset.view_steps)
            made.pasted = PASTED if "copy-paste" in preset.additions else 0.0
            return made
        if isinstance(given, Mapping):
            given = _from_dict(given) if "transform" in given else [_by_name(*step) for step in given.items()]
        made = cls(given, visible)
        check_task(made.pipeline, task)
        return made

    def describe(self) -> dict[str, Any]:
        """Describe the whole pipeline in plain types, from which :meth:`create` recreates it.

        Transforms with custom functions (``Lambda``) have no such description and are represented by their ``repr``, as
        are those of torchvision, and whatever is done to an image as the network sees it.
        """
        views = {"views": [repr(view.pipeline) for view in self.views]} if self.views else {}
        return self._describe() | views | ({"pasted": self.pasted} if self.pasted else {})

    def of_view(self, pixels: Pixels, seed: int) -> Pixels:
        """Change an image as the network sees it, after it was cropped and resized.

        Args:
            pixels: The image, uint8, [H, W, C].
            seed: Seed of all random numbers, that of the sample.
        """
        for number, view in enumerate(self.views, 1):
            # Streams of their own: those of the pipeline start with the seed itself.
            pixels = view(pixels, seed ^ number).pixels
        return pixels

    def _describe(self) -> dict[str, Any]:
        if self.torchvision is not None:
            return {"python": repr(self.pipeline)}
        import albumentations as A

        try:
            return {str(key): _plain(value) for key, value in A.to_dict(self.pipeline).items()}
        except NotImplementedError:
            return {"python": repr(self.pipeline)}

    def __call__(
        self,
        pixels: Pixels,
        seed: int,
        boxes: Float64[np.ndarray, "objects 4"] | None = None,
        mask: UInt8[np.ndarray, "height width"] | Planes | None = None,
    ) -> Augmented:
        """Augment an image.

        Args:
            pixels: The image, uint8, [H, W, C].
            seed: Seed of all random numbers.
            boxes: xyxy in pixels.
            mask: Class of each pixel; or the masks of the objects whose boxes are given, in planes, see
                :mod:`visiontasks.data.augmentation.mask_planes`. Boxes are moved as if there were no masks.
        """
        size = (pixels.shape[0], pixels.shape[1])
        # Albumentations compares the sides of a box in single precision; annotations may lack the image's size.
        clipped, inside = clip_boxes(np.empty((0, 4)) if boxes is None else boxes, size, least=LEAST_SIDE)
        kept = np.flatnonzero(inside)
        if self.empty:
            return Augmented(pixels, clipped[kept], kept, mask)
        if self.torchvision is not None:
            planes = mask if mask is not None and mask.ndim == 3 else None
            # Its transforms take a mask for each object, which SanitizeBoundingBoxes drops along with the boxes.
            given = mask if planes is None else separate(planes, kept)
            image, moved, left, mask = self.torchvision(pixels, seed, None if boxes is None else clipped[kept], given)
            if planes is not None and mask is not None:
                mask = joined(mask, kept[left], len(clipped))
            pixels = check_pixels(image, pixels)
            moved, inside = clip_boxes(moved, (pixels.shape[0], pixels.shape[1]), self.visible)
            return Augmented(pixels, moved[inside], kept[left[inside]], mask)
        # Transforms that use boxes require them even if an image has no objects.
        pipeline = self.pipeline if boxes is None else self.pipeline_with_boxes
        pipeline.set_random_state(np.random.Generator(np.random.PCG64(seed)), Random(seed))
        data: dict[str, Any] = {"image": pixels}
        if mask is not None and len(mask):  # no planes are those of no objects
            data["mask" if mask.ndim == 2 else "masks"] = mask
        if boxes is not None:
            data["bboxes"] = np.column_stack((clipped[kept], np.arange(len(kept))))
        data = pipeline(**data)
        pixels = np.ascontiguousarray(check_pixels(data["image"], pixels))
        if mask is not None:
            mask = data.get("mask", data.get("masks", np.zeros((0, *pixels.shape[:2]), np.uint8)))
        if boxes is not None:
            bboxes = np.asarray(data["bboxes"], np.float64).reshape(-1, 5)
            moved, inside = clip_boxes(bboxes[:, :4], (pixels.shape[0], pixels.shape[1]))
            return Augmented(pixels, moved[inside], kept[bboxes[inside, 4].astype(np.int64)], mask)
        return Augmented(pixels, np.empty((0, 4)), kept, mask)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to send to a spawned worker process.

        Raises:
            ArgumentError: If the pipeline cannot be pickled.
        """
        try:
            pickle.dumps(self.pipeline)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            message = (
                f"The augmentation cannot be sent to worker processes: {error}. Write its functions as functions of a "
                "module, not as lambdas or inside of others, or use num_workers=0."
            )
            raise ArgumentError(message) from error
        return self.__dict__


def _transform(name: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 (Albumentations has no types)
    import albumentations as A

    from visiontasks.data.augmentation.color_transform import ColorMatrix

    if name.startswith("v2."):
        from torchvision.transforms import v2

        return getattr(v2, name.removeprefix("v2."))(**arguments)
    return ColorMatrix(**arguments) if name == "ColorMatrix" else getattr(A, name)(**arguments)


def _by_name(name: str, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 (Albumentations has no types)
    """Create a transform by its name."""
    import albumentations as A

    from visiontasks.data.augmentation.color_transform import ColorMatrix

    kind = ColorMatrix if name == "ColorMatrix" else getattr(A, name, None)
    if not (isinstance(kind, type) and issubclass(kind, A.BasicTransform)):
        known = [key for key in dir(A) if isinstance(getattr(A, key), type)]
        message = f"The augmentation has no transform {name!r}. {near_matches(name, [*known, 'ColorMatrix'])}"
        raise ArgumentError(message)
    try:
        with warnings.catch_warnings(action="error"):  # it warns about unknown arguments
            return kind(**arguments)
    except (TypeError, ValueError, UserWarning) as error:
        message = f"{name} does not take {dict(arguments)}: {error}"
        raise ArgumentError(message) from error


def _from_dict(description: Mapping[str, Any]) -> Any:  # noqa: ANN401 (Albumentations has no types)
    import albumentations as A

    import visiontasks.data.augmentation.color_transform  # noqa: F401 (makes it known to Albumentations)

    if of_preset := {"views", "pasted"} & {*description}:
        message = f"The description of an augmentation has {min(of_preset)!r}, which only presets have; give its name."
        raise ArgumentError(message)
    try:
        return A.from_dict(dict(description))
    except (KeyError, TypeError, ValueError) as error:
        message = (
            f"The description of an augmentation cannot be read: {type(error).__name__}: {error}. Expected what "
            "albumentations.to_dict(pipeline) gives, or the name of a preset."
        )
        raise ArgumentError(message) from error


def _plain(value: Any) -> Any:  # noqa: ANN401 (nested lists and dictionaries)
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
