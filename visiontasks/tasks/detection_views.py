"""Test-time augmentation of a detector: detections of mirrored and resized images, merged by one suppression."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.detection.boxes import clip_to, is_box
from visiontasks.detection.outputs import DetectionOutputs, DetectionView
from visiontasks.detection.roi_head import Candidates
from visiontasks.tasks.averaging import AXES, Flips, flip, resize
from visiontasks.types import Images

Sizes = Int64[Tensor, "batch 2"]


def with_views(
    compute: Callable[..., DetectionOutputs],
    outputs: DetectionOutputs,
    images: Images,
    proposals: Sequence[Float[Tensor, "batch proposals 4"]],
    flips: Flips,
    scales: Sequence[float],
    multiple: int,
) -> DetectionOutputs:
    """Add the outputs of the views of a batch of images to those of the images.

    Args:
        compute: Computes outputs from images, their sizes, and proposals if there are some.
        outputs: The outputs of the images.
        images: The images, padded to the right and below.
        proposals: Boxes, if they are precomputed; otherwise empty.
        flips: Mirror images of each scale.
        scales: Scale factors of the height and width.
        multiple: Number of which the sides of a batch of resized images are multiples.
    """
    views = []
    for scale in scales:
        for axes in AXES[flips]:
            if scale == 1 and not axes:
                views.append(DetectionView(outputs, axes))
                continue
            view, sizes = view_of(images, outputs.sizes, axes, scale, multiple)
            factors = (sizes / outputs.sizes)[:, None]
            boxes = [mirrored(_stretch(each, factors), sizes[:, None], axes) for each in proposals]
            views.append(DetectionView(compute(view, sizes, *boxes), axes))
    return outputs._replace(views=tuple(views))


def view_of(images: Images, sizes: Sizes, axes: tuple[int, ...], scale: float, multiple: int) -> tuple[Tensor, Sizes]:
    """Resize and mirror the images of a batch, which stay padded to the right and below.

    Args:
        images: The images.
        sizes: Height and width of each inside the padding.
        axes: Axes along which they are mirrored.
        scale: Factor of height and width.
        multiple: Number of which the sides of the batch are multiples, if it is resized.

    Returns:
        The images, and their sizes.
    """
    parts = [
        flip(image if scale == 1 else resize(image, scale), axes)
        for image in (
            image[None, :, :height, :width] for image, (height, width) in zip(images, sizes.tolist(), strict=True)
        )
    ]
    inside = torch.tensor([part.shape[-2:] for part in parts], device=sizes.device)
    sides = [-(-side // multiple) * multiple for side in inside.amax(0).tolist()]
    batch = parts[0].new_zeros(*images.shape[:2], *(images.shape[-2:] if scale == 1 else sides))
    if images.is_contiguous(memory_format=torch.channels_last):
        batch = batch.contiguous(memory_format=torch.channels_last)
    for place, part in zip(batch, parts, strict=True):
        place[:, : part.shape[-2], : part.shape[-1]] = part[0]
    return batch, inside


def merged(found: Sequence[Candidates], outputs: DetectionOutputs) -> Candidates:
    """Bring the candidates of views back to the images, and join them.

    Args:
        found: Candidates of each view, in its pixels.
        outputs: The outputs of the images, with their views.
    """
    parts = []
    for candidates, view in zip(found, outputs.views, strict=True):
        sizes, owners = view.outputs.sizes, candidates.images
        boxes = mirrored(candidates.boxes, sizes[owners], view.axes)
        boxes = _stretch(boxes, (outputs.sizes / sizes)[owners])
        parts.append(candidates._replace(boxes=clip_to(boxes[:, None], outputs.sizes[owners])[:, 0]))
    return Candidates(*(torch.cat(fields) for fields in zip(*parts, strict=True)))


def in_view(
    boxes: Float[Tensor, "boxes 4"],
    images: Int64[Tensor, " boxes"],
    view: DetectionView,
    sizes: Sizes,
) -> Float[Tensor, "boxes 4"]:
    """Bring boxes of the images to a view of them.

    Args:
        boxes: The boxes.
        images: Index in the batch of the image of each.
        view: The view.
        sizes: Height and width of the images.
    """
    of_view = view.outputs.sizes[images]
    return mirrored(_stretch(boxes, of_view / sizes[images]), of_view, view.axes)


def mirrored(
    boxes: Float[Tensor, "*boxes 4"], sizes: Int64[Tensor, "*#boxes 2"], axes: tuple[int, ...]
) -> Float[Tensor, "*boxes 4"]:
    """Mirror boxes within their images; padding stays padding.

    Args:
        boxes: The boxes.
        sizes: Height and width of the image of each.
        axes: Axes of the image along which it is mirrored: -1 for left and right, -2 for top and bottom.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    if -1 in axes:
        x1, x2 = sizes[..., 1] - x2, sizes[..., 1] - x1
    if -2 in axes:
        y1, y2 = sizes[..., 0] - y2, sizes[..., 0] - y1
    return torch.where(is_box(boxes)[..., None], torch.stack([x1, y1, x2, y2], -1), boxes)


def _stretch(boxes: Tensor, factors: Tensor) -> Tensor:
    """Multiply x and y of boxes by factors of width and height, which are given as height and width."""
    across_down = factors.flip(-1)
    return boxes * torch.cat([across_down, across_down], -1)
