"""A generated data set: circles, squares, triangles and stars on textured backgrounds.

It needs no files and no network, and an item depends only on the arguments and its index, not on the items drawn
before, the process or the platform. Therefore all arithmetic uses integers, lengths are in units of 1/256 pixel, and
random numbers come from the raw stream of PCG64, which NumPy guarantees to keep (unlike that of ``Generator``).
"""

import math
import operator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int8, Int16, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from visiontasks.errors import ArgumentError
from visiontasks.sizes import ImageSize, height_and_width

CLASS_NAMES = ("circle", "square", "triangle", "star")

_Integers = Int64[np.ndarray, "..."]

_PIXEL = 256
_LEAST_SIDE = 16  # pixels
_LEAST_RADIUS = 4 * _PIXEL  # a smaller star is a blot
_TRIES = 32
_TURN = 720  # directions in a full turn, divisible by 3, 4 and 5
_UNIT = 4096  # length of a direction; coarse enough to round away platform differences in the last bit of a cosine
_COSINE = np.array([round(_UNIT * math.cos(2 * math.pi * step / _TURN)) for step in range(_TURN)], dtype=np.int64)
_SINE = np.roll(_COSINE, _TURN // 4)
_LINES = (0, 4, 3, 5)  # number of straight edges of each class
_CONTRAST = 80  # minimum difference between object and background, and maximum between the background's two colours
_NOISE = 8


class ShapesSample(NamedTuple):
    """One image with the annotations of every task.

    Attributes:
        image: Pixels in 0 to 255.
        label: Class of the object with the most visible pixels (the first one drawn in case of a tie).
        labels: 1 for each class in the image, 0 for the others.
        box: Box of the same object: x1, y1, x2, y2 in pixels.
        boxes: Box of each object's visible pixels, in drawing order: later objects cover earlier ones. A box ends at
            the edges of its pixels, so that columns 3 to 5 give x1 = 3 and x2 = 6.
        box_labels: Class of each box.
        mask: 0 on the background, class + 1 where an object is visible. Edges are soft; a pixel belongs to an object if
            its centre lies inside. No pixel is ignored.
        owners: 0 on the background, n where the n-th object is visible.
    """

    image: UInt8[Tensor, "channels height width"]
    label: int
    labels: UInt8[Tensor, " classes"]
    box: Float32[Tensor, " 4"]
    boxes: Float32[Tensor, "objects 4"]
    box_labels: Int64[Tensor, " objects"]
    mask: UInt8[Tensor, "height width"]
    owners: Int16[Tensor, "height width"]


class ShapesDataset(Dataset[ShapesSample]):
    """Coloured shapes on textured backgrounds, drawn when they are asked for.

    Each object has one of `CLASS_NAMES`, all equally likely, lies inside the image, and is rotated by a random angle.
    Its circumscribed circle has a diameter of 20 to 60 % of the image's shorter side (at least 8 pixels). In some
    channel its colour differs from the whole background by at least 80, before noise of up to 8 is added. Where two
    objects overlap, the upper one hides at most about a fifth of the lower one.

    Args:
        num_samples: Number of images, at least 1. A larger number does not change the first images.
        image_size: Side, or height and width, in pixels, at least 16.
        min_objects: Minimum number of objects in an image, at least 1.
        max_objects: Maximum number of objects in an image; each number in between is equally likely. Objects become
            smaller, but never fewer, if they would not fit otherwise.
        seed: Seed of the images, 0 or more.
        channels: Number of channels of the images: 1 for grayscale, 3 for colour, or any other number.

    Raises:
        ArgumentError: An argument is out of range, or ``max_objects`` objects of the smallest size do not fit side by
            side.

    Example:
        >>> dataset = ShapesDataset(100, image_size=(48, 64), seed=7)
        >>> sample = dataset[-1]
        >>> tuple(sample.image.shape), CLASS_NAMES[sample.label], sample.box.tolist()
        ((3, 48, 64), 'square', [32.0, 7.0, 57.0, 33.0])
    """

    def __init__(
        self,
        num_samples: int,
        *,
        image_size: ImageSize = 64,
        min_objects: int = 1,
        max_objects: int = 1,
        seed: int = 0,
        channels: int = 3,
    ) -> None:
        self.height, self.width = height_and_width("image_size", image_size, _LEAST_SIDE)
        self.num_samples = num_samples
        self.min_objects = min_objects
        self.max_objects = max_objects
        self.seed = seed
        self.channels = channels
        bounds = {"num_samples": 1, "min_objects": 1, "max_objects": min_objects, "seed": 0, "channels": 1}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                source = " (min_objects)" if name == "max_objects" else ""
                message = f"{name} is {getattr(self, name)}, but must be at least {least}{source}."
                raise ArgumentError(message)
        room = math.prod(_smallest(self.height, self.width)[1:])
        if max_objects > room:
            message = f"max_objects is {max_objects}, but {room} fit into {self.height} x {self.width} pixels at most."
            raise ArgumentError(message)

    def __len__(self) -> int:
        """Count the images."""
        return self.num_samples

    def __getitem__(self, index: int) -> ShapesSample:
        """Draw an image; a negative index counts from the end, and an index out of range raises ``IndexError``."""
        position = operator.index(index)
        if not -self.num_samples <= position < self.num_samples:
            message = f"index {position} is out of range for {self.num_samples} samples"
            raise IndexError(message)
        draw = _Draw(self.seed, position % self.num_samples)
        count = self.min_objects + draw.below(self.max_objects - self.min_objects + 1, 1).item()
        labels, turns = draw.below(len(CLASS_NAMES), count), draw.below(_TURN, count)
        circles = _layout(draw, count, self.height, self.width)
        ground = _ground_colours(draw, self.channels)
        colours = _object_colours(draw, count, ground)

        low, high = ground[:, :, None, None]
        canvas = low + ((high - low) * _texture(draw, self.height, self.width) >> 8)
        owners = np.zeros((self.height, self.width), dtype=np.int64)
        y, x = (np.arange(side, dtype=np.int64) * _PIXEL + _PIXEL // 2 for side in owners.shape)
        for number, (label, turn, cy, cx, radius) in enumerate(np.column_stack((labels, turns, circles)).tolist()):
            rows, columns = (slice(max((c - radius) // _PIXEL, 1) - 1, (c + radius) // _PIXEL + 2) for c in (cy, cx))
            depth = _depth(label, turn, radius, (y[rows] - cy)[:, None], x[columns] - cx)
            under = canvas[:, rows, columns]
            under += (colours[number, :, None, None] - under) * np.clip(depth + _PIXEL // 2, 0, _PIXEL) >> 8
            owners[rows, columns][depth >= 0] = number + 1
        canvas += draw.noise(self.height, self.width)
        return _annotate(np.minimum(np.maximum(canvas, 0), 255).astype(np.uint8), owners, labels)


class _Draw:
    """Random integers of one image."""

    def __init__(self, seed: int, index: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(index,)))

    def below(self, bound: int | _Integers, *shape: int) -> _Integers:
        """Draw integers from 0 to bound - 1; the bound, at most 2**31, may differ along the shape."""
        raw = self._bits.random_raw(math.prod(shape)).reshape(shape)
        return (raw >> 33).view(np.int64) * bound >> 31

    def noise(self, height: int, width: int) -> Int8[np.ndarray, "height width"]:
        """Draw integers [height, width] from -_NOISE to _NOISE - 1, each from one byte of the stream."""
        raw = self._bits.random_raw(-(-height * width // 8)).astype("<u8", copy=False).view(np.uint8)
        return (raw[: height * width] % (2 * _NOISE)).view(np.int8).reshape(height, width) - np.int8(_NOISE)


def _smallest(height: int, width: int) -> tuple[int, int, int]:
    """Return the radius of the smallest objects, and how many rows and columns of them fit into an image."""
    radius = max(_LEAST_RADIUS, min(height, width) * _PIXEL // 10)
    return radius, height * _PIXEL // (2 * radius), width * _PIXEL // (2 * radius)


def _layout(draw: _Draw, count: int, height: int, width: int) -> _Integers:
    """Place circles [count, (y, x, radius)], each at the first free of several random places with shrinking radii."""
    sides = np.array((height, width), dtype=np.int64) * _PIXEL
    least, most = _smallest(height, width)[0], int(sides.min()) * 3 // 10
    radii = least + draw.below(most - least + 1, count, _TRIES, 1) * np.arange(_TRIES, 0, -1)[:, None] // _TRIES
    places = np.concatenate((radii + draw.below(sides - 2 * radii + 1, count, _TRIES, 2), radii), axis=2)
    chosen = places[:, 0]
    for number in range(1, count):
        tried, others = places[number, :, None], chosen[:number]
        # Circles may overlap by at most half the smaller radius, so that less than a fifth of either is hidden.
        apart = tried[..., 2] + others[:, 2] - np.minimum(tried[..., 2], others[:, 2]) // 2
        free = (((tried - others)[..., :2] ** 2).sum(2) >= apart**2).all(1)
        if not free.any():
            break
        chosen[number] = places[number, free.argmax()]
    else:
        return chosen
    # A crowd: objects of the smallest size in random slots side by side, which have room for any possible number.
    slots = np.array(_smallest(height, width)[1:], dtype=np.int64)
    order = draw.below(2**31, int(slots.prod())).argsort(kind="stable")[:count]
    corners = np.stack((order // slots[1], order % slots[1]), 1) * (sides // slots)
    chosen[:, :2] = corners + least + draw.below(sides // slots - 2 * least + 1, count, 2)
    chosen[:, 2] = least
    return chosen


def _ground_colours(draw: _Draw, channels: int) -> _Integers:
    """Draw the two colours [2, channels] that the background varies between."""
    spread = _CONTRAST // 4 + draw.below(_CONTRAST * 3 // 4 + 1, channels)
    low = draw.below(256 - spread, channels)
    ends = np.stack((low, low + spread))
    return np.where(draw.below(2, channels), ends, ends[::-1])


def _object_colours(draw: _Draw, count: int, ground: _Integers) -> _Integers:
    """Draw colours [count, channels] unlike the background in some channel and, if possible, unlike each other."""
    low, high = ground.min(0), ground.max(0)
    colours = draw.below(256, count, _TRIES, len(low))
    channel = draw.below(len(low), count, _TRIES)
    darker, brighter = np.maximum(low - _CONTRAST + 1, 0)[channel], np.minimum(high + _CONTRAST, 256)[channel]
    value = draw.below(darker + 256 - brighter, count, _TRIES)
    value += np.where(value < darker, 0, brighter - darker)
    np.put_along_axis(colours, channel[..., None], value[..., None], axis=2)
    chosen = colours[:, 0]
    for number in range(1, count):
        difference = np.abs(colours[number, :, None] - chosen[:number]).max(2).min(1)
        chosen[number] = colours[number, difference.argmax()]
    return chosen


def _texture(draw: _Draw, height: int, width: int) -> _Integers:
    """Draw a field [height, width] of values from 0 to 256: smooth noise, a gradient, stripes or checks."""
    kind, turn, sharpness = draw.below(np.array((4, _TURN, 4)), 3).tolist()
    if kind == 0:
        coarse, fine = (_blend(height, k) @ draw.below(257, k, k) @ _blend(width, k).T >> 16 for k in (4, 9))
        return np.asarray((2 * coarse + fine) // 3)
    if kind == 1:
        return _waves(draw, height, width, turn, 2 * (height + width))
    side = min(height, width)
    period = side // 8 + draw.below(side // 4, 1).item()
    waves = _waves(draw, height, width, turn, period)
    if kind == 2:
        crossing = _waves(draw, height, width, turn + _TURN // 4, period)
        waves = waves + crossing - (waves * crossing >> 7)
    return np.asarray(np.clip((waves - 128) * (1 + sharpness) + 128, 0, 256))


def _waves(draw: _Draw, height: int, width: int, turn: int, period: int) -> _Integers:
    """Draw a triangle wave [height, width] of values from 0 to 256, with its period in pixels."""
    x, y = np.arange(width, dtype=np.int64), np.arange(height, dtype=np.int64)[:, None]
    along = x * _COSINE[turn % _TURN] + y * _SINE[turn % _TURN]
    phase = along * (512 * _UNIT // period) // _UNIT**2 + draw.below(512, 1)
    return np.asarray(np.abs(phase % 512 - 256))


@lru_cache
def _blend(size: int, knots: int) -> _Integers:
    """Make weights [size, knots], of sum 256, that interpolate values at evenly spaced knots smoothly over pixels."""
    position = (2 * np.arange(size, dtype=np.int64) + 1) * (knots - 1) * 256 // (2 * size)
    knot, step = position >> 8, position & 255
    smooth = step * step * (768 - 2 * step) >> 16
    weights = np.zeros((size, knots), dtype=np.int64)
    weights[np.arange(size), knot] = 256 - smooth
    weights[np.arange(size), knot + 1] = smooth
    return weights


def _depth(label: int, turn: int, radius: int, y: _Integers, x: _Integers) -> _Integers:
    """Measure how deep points lie inside a shape whose corners are on a circle around 0; negative means outside."""
    lines = _LINES[label]
    if not lines:
        depth: _Integers = (radius**2 - x * x - y * y) // (2 * radius)
        return depth
    directions = (turn + _TURN // lines * np.arange(lines)) % _TURN
    reach: _Integers = _COSINE[directions, None, None] * x + _SINE[directions, None, None] * y
    farthest, second = np.maximum(reach[0], reach[1]), np.minimum(reach[0], reach[1])
    for other in reach[2:]:
        farthest, second = np.maximum(farthest, other), np.maximum(second, np.minimum(farthest, other))
    # A point inside a shape lies beyond none of its lines; inside a star it may lie beyond one of the five.
    edge, nearest = (_TURN // 5, second) if CLASS_NAMES[label] == "star" else (_TURN // 2 // lines, farthest)
    return np.asarray((radius * _COSINE[edge] - nearest) // _UNIT)


def _annotate(image: UInt8[np.ndarray, "..."], owners: _Integers, classes: _Integers) -> ShapesSample:
    """Read the annotations off the map of owners [height, width]: 0 for the background, i + 1 for object i."""
    boxes = np.empty((len(classes), 4), dtype=np.float32)
    areas = []
    for number in range(len(classes)):
        visible = owners == number + 1
        rows, columns = visible.any(1).nonzero()[0], visible.any(0).nonzero()[0]
        boxes[number] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        areas.append(np.count_nonzero(visible))
    largest = areas.index(max(areas))
    present = np.zeros(len(CLASS_NAMES), dtype=np.uint8)
    present[classes] = 1
    values = np.concatenate(((0,), classes + 1)).astype(np.uint8)
    return ShapesSample(
        image=torch.from_numpy(image),
        label=int(classes[largest]),
        labels=torch.from_numpy(present),
        box=torch.from_numpy(boxes[largest].copy()),
        boxes=torch.from_numpy(boxes),
        box_labels=torch.from_numpy(classes),
        mask=torch.from_numpy(values[owners]),
        owners=torch.from_numpy(owners.astype(np.int16)),
    )
