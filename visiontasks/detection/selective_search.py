"""Selective search: proposals from grouping similar regions, without learning."""

import heapq
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from visiontasks.errors import ArgumentError, check_choice

_COLOR_BINS, _TEXTURE_BINS, _DIRECTIONS = 25, 10, 8
STRATEGIES: dict[str, tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...]]] = {
    "single": (("hsv",), (100,), ("color texture size fill",)),
    "fast": (("hsv", "lab"), (50, 100), ("color texture size fill", "texture size fill")),
    "quality": (
        ("hsv", "lab", "rgi", "gray"),
        (50, 100, 150, 300),
        ("color texture size fill", "texture size fill", "fill", "size"),
    ),
}
"""Colour spaces, scales of the initial segments, and similarity measures; all combinations are used."""


class _Region(NamedTuple):
    size: int
    box: tuple[int, int, int, int]
    color: Float64[np.ndarray, " bins"]
    texture: Float64[np.ndarray, " bins"]


def selective_search(
    image: UInt8[np.ndarray, "height width channels"], mode: str = "fast", least: int = 10, seed: int = 0
) -> Float64[np.ndarray, "found 4"]:
    """Propose boxes around regions of similar colour and texture, at all scales.

    Uijlings et al., Selective search for object recognition (IJCV 2013), sections 3 and 4: segments (Felzenszwalb and
    Huttenlocher 2004) are merged, the most similar neighbours first, until one is left; the box of every region along
    the way is a proposal. Several colour spaces, scales and similarities complement one another. Proposals are ordered
    by their position in the hierarchy, the whole image first, times a random number. Texture is measured by differences
    of neighbouring pixels in eight directions instead of Gaussian derivatives.

    Args:
        image: The image, grey or RGB.
        mode: ``"single"`` strategy, ``"fast"`` (8, as in the paper) or ``"quality"`` (64; the paper has 80).
        least: Minimum side of a proposal in pixels.
        seed: Seed of the random numbers.

    Returns:
        Boxes, xyxy in pixels.

    Raises:
        ArgumentError: If the mode is unknown or scikit-image is missing.
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as error:
        message = "Selective search needs scikit-image: pip install 'visiontasks[proposals]'."
        raise ArgumentError(message) from error
    check_choice("mode", mode, STRATEGIES)
    rgb = np.repeat(image[..., :1], 3, -1) if image.shape[-1] < 3 else image[..., :3]
    spaces, scales, similarities = STRATEGIES[mode]
    generator = np.random.default_rng(seed)
    ranked: dict[tuple[int, int, int, int], float] = {}
    for space in spaces:
        pixels = _convert(rgb, space)
        differences = _differences(pixels)
        for scale in scales:
            segments = felzenszwalb(pixels, scale=scale, sigma=0.8, min_size=scale, channel_axis=-1)
            regions, neighbours = _measure(segments, pixels, differences)
            for similarity in similarities:
                boxes = _merge(regions, neighbours, similarity.split(), image.shape[0] * image.shape[1])
                order = generator.random(len(boxes)) * np.arange(len(boxes), 0, -1)
                for box, rank in zip(boxes, order.tolist(), strict=True):
                    ranked[box] = min(rank, ranked.get(box, math.inf))
    distinct = sorted(ranked, key=ranked.__getitem__)
    kept = [box for box in distinct if min(box[2] - box[0], box[3] - box[1]) >= least]
    return np.array(kept, np.float64).reshape(-1, 4)


def _convert(rgb: UInt8[np.ndarray, "height width 3"], space: str) -> Float64[np.ndarray, "height width channels"]:
    """Convert colours to a colour space, scaled so that its channels are in 0 to 1."""
    from skimage.color import rgb2hsv, rgb2lab

    values = rgb / 255.0
    if space == "hsv":
        return np.asarray(rgb2hsv(values))
    if space == "lab":
        return np.asarray((rgb2lab(values) + np.array([0, 128, 128])) / np.array([100, 255, 255]))
    intensity = values.mean(-1, keepdims=True)
    if space == "gray":
        return np.asarray(intensity)
    total = values.sum(-1, keepdims=True) + 1e-9
    return np.concatenate([values[..., :2] / total, intensity], -1)


def _differences(pixels: Float64[np.ndarray, "height width channels"]) -> Float64[np.ndarray, "height width values"]:
    """Measure the increase of each channel in each direction; decreases are 0."""
    down, right = np.gradient(pixels, axis=(0, 1)) if min(pixels.shape[:2]) > 1 else (pixels * 0, pixels * 0)
    angles = np.arange(_DIRECTIONS) * 2 * math.pi / _DIRECTIONS
    rises = [np.clip(right * math.cos(angle) + down * math.sin(angle), 0, None) for angle in angles]
    return np.concatenate(rises, -1)


def _measure(
    segments: Int64[np.ndarray, "height width"],
    pixels: Float64[np.ndarray, "height width channels"],
    differences: Float64[np.ndarray, "height width values"],
) -> tuple[list[_Region], set[tuple[int, int]]]:
    """Measure every segment, and list the pairs that touch."""
    labels = segments.ravel()
    count = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=count)
    rows, columns = np.divmod(np.arange(labels.size), segments.shape[1])
    extremes = []
    for values, reduce, start in (
        (columns, np.minimum, labels.size),
        (rows, np.minimum, labels.size),
        (columns + 1, np.maximum, 0),
        (rows + 1, np.maximum, 0),
    ):
        extreme = np.full(count, start)
        reduce.at(extreme, labels, values)
        extremes.append(extreme)
    color = _histograms(labels, pixels.reshape(labels.size, -1), count, _COLOR_BINS)
    largest = max(float(differences.max()), 1e-9)
    texture = _histograms(labels, differences.reshape(labels.size, -1) / largest, count, _TEXTURE_BINS)
    boxes = np.stack(extremes, 1).tolist()
    regions = [_Region(int(sizes[i]), tuple(boxes[i]), color[i], texture[i]) for i in range(count)]
    pairs = np.concatenate(
        [
            np.stack([segments[:-1].ravel(), segments[1:].ravel()], 1),
            np.stack([segments[:, :-1].ravel(), segments[:, 1:].ravel()], 1),
        ]
    )
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
    return regions, {(int(a), int(b)) for a, b in pairs}


def _histograms(
    labels: Int64[np.ndarray, " pixels"], values: Float64[np.ndarray, "pixels channels"], count: int, bins: int
) -> Float64[np.ndarray, "segments bins"]:
    """Compute histograms of each channel (values in 0 to 1) in each segment, which sum to 1 per segment."""
    places = np.minimum((values * bins).astype(np.int64), bins - 1)
    channels = [
        np.bincount(labels * bins + places[:, channel], minlength=count * bins).reshape(count, bins)
        for channel in range(values.shape[1])
    ]
    counts = np.concatenate(channels, 1).astype(np.float64)
    shares: np.ndarray = counts / counts.sum(1, keepdims=True)
    return shares


def _merge(
    regions: Sequence[_Region], neighbours: Iterable[tuple[int, int]], similarity: Sequence[str], area: int
) -> list[tuple[int, int, int, int]]:
    """Merge the most similar neighbours until one region is left; return the boxes of all, the smallest first."""
    alive = dict(enumerate(regions))
    touching: dict[int, set[int]] = {index: set() for index in alive}
    for a, b in neighbours:
        touching[a].add(b)
        touching[b].add(a)
    heap = [(-_similarity(alive[a], alive[b], similarity, area), a, b) for a, b in sorted(neighbours)]
    heapq.heapify(heap)
    boxes = [region.box for region in regions]
    while heap:
        _, a, b = heapq.heappop(heap)
        if a not in alive or b not in alive:
            continue
        one, other = alive.pop(a), alive.pop(b)
        size = one.size + other.size
        merged = _Region(
            size,
            _around(one.box, other.box),
            (one.size * one.color + other.size * other.color) / size,
            (one.size * one.texture + other.size * other.texture) / size,
        )
        index = len(boxes)
        boxes.append(merged.box)
        alive[index] = merged
        touching[index] = (touching.pop(a) | touching.pop(b)) - {a, b}
        for near in touching[index]:
            touching[near] -= {a, b}
            touching[near].add(index)
            heapq.heappush(heap, (-_similarity(alive[near], merged, similarity, area), near, index))
    return boxes


def _similarity(one: _Region, other: _Region, parts: Sequence[str], area: int) -> float:
    """Sum the similarities of two regions, each in 0 to 1."""
    total = 0.0
    if "color" in parts:
        total += float(np.minimum(one.color, other.color).sum())
    if "texture" in parts:
        total += float(np.minimum(one.texture, other.texture).sum())
    if "size" in parts:
        total += 1 - (one.size + other.size) / area
    if "fill" in parts:
        x1, y1, x2, y2 = _around(one.box, other.box)
        total += 1 - ((x2 - x1) * (y2 - y1) - one.size - other.size) / area
    return total


def _around(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    return min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
