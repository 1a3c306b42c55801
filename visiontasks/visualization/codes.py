"""Pictures of codes: reconstructions, interpolations, neighbours, and maps."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from visiontasks.types import AutoencodingPredictions
from visiontasks.visualization.captions import INK, PAPER, add_legend
from visiontasks.visualization.colors import IGNORED_COLOR, class_color
from visiontasks.visualization.pictures import MARGIN, Picture, from_pillow, grid, to_rgb

_SIDE = 560


def draw_reconstructions(
    batch: Any,  # noqa: ANN401 (of any task)
    predictions: AutoencodingPredictions,
    class_names: Sequence[str] = (),
    columns: int = 8,
) -> Picture:
    """Draw images in rows, and below each its reconstruction with the mean squared error.

    Args:
        batch: The images, of any task, on the CPU.
        predictions: Their reconstructions.
        class_names: Not used; other drawing functions take it.
        columns: Images side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    images, made = batch.images, predictions.images
    pixels = images.float() if images.is_floating_point() else images.float() / 255
    errors = (made - pixels).square().flatten(1).mean(1).tolist()
    columns = min(columns, len(images))
    tiles: list[Tensor] = []
    titles: list[str] = []
    for start in range(0, len(images), columns):
        rows = range(start, min(start + columns, len(images)))
        # An unfinished row keeps its reconstructions below its images.
        empty = [torch.full((3, *images.shape[-2:]), 255, dtype=torch.uint8)] * (columns - len(rows))
        tiles += [*(to_rgb(images[row]) for row in rows), *empty, *(to_rgb(made[row]) for row in rows), *empty]
        blank = [""] * len(empty)
        titles += ["image"] * len(rows) + blank + [f"mse {errors[row]:.4f}" for row in rows] + blank
    return grid(tiles, titles, columns=columns)


def draw_interpolation(images: Float[Tensor, "pairs steps _ _ _"]) -> Picture:
    """Draw the images on the way from one code to another, one pair of codes in a row.

    Args:
        images: Pixels from 0 to 1; the first and the last image of a row are those whose codes are interpolated.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    steps = images.shape[1]
    titles = [f"{step / max(1, steps - 1):.0%}" for step in range(steps)]
    return grid([to_rgb(image) for image in images.flatten(0, 1)], titles * len(images), columns=steps)


def draw_neighbours(image: Tensor, neighbours: Sequence[Tensor], titles: Sequence[str], columns: int = 8) -> Picture:
    """Draw an image, and those whose codes are nearest to its own.

    Args:
        image: The image, see :func:`~visiontasks.visualization.pictures.to_rgb`.
        neighbours: The others, nearest first, all of one size.
        titles: One line for each of them.
        columns: Images side by side.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    return grid([to_rgb(tile) for tile in (image, *neighbours)], ["image", *titles], columns=columns)


def code_map(
    codes: Float[Tensor, "images code"], labels: Int64[Tensor, " images"], class_names: Sequence[str] = ()
) -> Picture:
    """Draw codes as points in the plane of their two principal components, in the colours of their classes.

    Args:
        codes: Codes, of at least two images.
        labels: Class of each code; -1 if unknown, which is drawn grey.
        class_names: Names of the classes.

    Returns:
        uint8 RGB, shape [3, H, W].
    """
    positions, shares = principal_plane(codes)
    font = ImageFont.load_default(13)
    top = 24 + MARGIN
    canvas = Image.new("RGB", (_SIDE + 2 * MARGIN, _SIDE + top + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    percent = f"{shares[0]:.0%} and {shares[1]:.0%} of the variance" if shares.isfinite().all() else "codes are equal"
    draw.text((MARGIN, MARGIN), f"{len(codes):,} codes, two principal components: {percent}", fill=INK, font=font)
    low, high = positions.amin(0), positions.amax(0)
    # Both axes have one scale, so that distances in the picture are distances.
    scale = (_SIDE - 10) / (high - low).max().clamp(min=1e-12)
    points = (positions - (low + high) / 2) * scale + _SIDE / 2
    radius = 2 if len(codes) > 500 else 3
    for (x, y), label in zip(points.tolist(), labels.tolist(), strict=True):
        color = class_color(label) if label >= 0 else IGNORED_COLOR
        x, y = MARGIN + x, top + _SIDE - y
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    entries = [(name, class_color(label)) for label, name in enumerate(class_names) if label in labels]
    return from_pillow(add_legend(canvas, entries))


def principal_plane(codes: Float[Tensor, "images code"]) -> tuple[Float[Tensor, "images 2"], Float[Tensor, "2"]]:
    """Project codes onto their two principal components.

    Args:
        codes: Codes.

    Returns:
        The coordinates, with signs such that the largest entry of each component is positive, and the fraction of the
        variance explained by each component; NaN if there is no variance.

    Example:
        >>> positions, shares = principal_plane(torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, -3.0], [1.0, 0.0, 0.0]]))
        >>> positions.shape, bool(shares[0] > 0.9)
        (torch.Size([3, 2]), True)
    """
    centred = codes.double() - codes.double().mean(0)
    variances, components = torch.linalg.eigh(centred.T @ centred)
    variances, components = variances.flip(0).clamp(min=0), components.flip(1)[:, :2]
    components = components * components.gather(0, components.abs().argmax(0, keepdim=True)).sign()
    positions, shares = centred @ components, (variances / variances.sum())[:2]
    missing = 2 - positions.shape[1]
    return torch.nn.functional.pad(positions, (0, missing)).float(), torch.nn.functional.pad(
        shares, (0, missing)
    ).float()
