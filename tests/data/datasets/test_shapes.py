import hashlib
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import max_pool2d
from torch.utils.data import DataLoader

from visiontasks.data.datasets.shapes import CLASS_NAMES, ShapesDataset, ShapesSample, _depth
from visiontasks.errors import ArgumentError


def equal(first: ShapesSample, second: ShapesSample) -> bool:
    pairs = zip(first, second, strict=True)
    return all(torch.equal(torch.as_tensor(one), torch.as_tensor(other)) for one, other in pairs)


def extent(mask: Tensor) -> list[float]:
    """Box of the pixels that are not 0, by looking at each of them."""
    columns, rows = [], []
    for row, line in enumerate(mask.tolist()):
        for column, value in enumerate(line):
            if value:
                columns.append(column)
                rows.append(row)
    return [min(columns), min(rows), max(columns) + 1, max(rows) + 1]


@pytest.mark.parametrize(
    ("arguments", "index", "digest"),
    [
        ({}, 0, "d5135bc559e169748af7e57aa3bc0ec4182493106dffba0672c644546d995c9c"),
        (
            {"seed": 1, "image_size": (37, 50), "min_objects": 3, "max_objects": 5, "channels": 5},
            98,
            "8bcaf11d46b7a5651d6a802d62a4a04a52dc0c8a5903fbb13c51fcfd47ac2f2a",
        ),
        (
            {"min_objects": 25, "max_objects": 25, "channels": 1},
            4,
            "de04e3a4adc400441e2e03bdb0f789ee8401d1aa48bee53cee5cc66d4ce8f90a",
        ),
    ],
    ids=["one object", "several objects", "crowd"],
)
def test_the_same_on_every_platform(arguments: dict[str, Any], index: int, digest: str) -> None:
    sample = ShapesDataset(99, **arguments)[index]
    content = b"".join(part.numpy().tobytes() for part in sample[:-1] if isinstance(part, Tensor))
    assert hashlib.sha256(content).hexdigest() == digest


@pytest.mark.slow
def test_the_same_in_a_worker_process() -> None:
    dataset = ShapesDataset(6, max_objects=4, seed=3)
    loader = DataLoader(dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn")
    samples = [ShapesSample(*sample) for sample in loader]
    assert len(samples) == 6
    assert all(equal(sample, dataset[index]) for index, sample in enumerate(samples))


def test_the_same_in_any_order_and_number_of_samples() -> None:
    few, many = ShapesDataset(8, max_objects=3), ShapesDataset(500, max_objects=3)
    forwards = [few[index] for index in range(8)]
    backwards = [many[index] for index in reversed(range(8))][::-1]
    assert all(map(equal, forwards, backwards))
    assert not any(
        torch.equal(forwards[first].image, forwards[second].image) for first in range(8) for second in range(first)
    )


def test_another_seed_gives_other_images() -> None:
    drawn = [ShapesDataset(20, seed=seed) for seed in (0, 1, 2**40, 2**70)]
    images = {one.image.numpy().tobytes() for dataset in drawn for one in map(dataset.__getitem__, range(20))}
    assert len(images) == 80


def test_random_numbers_of_numpy_and_torch_are_left_alone() -> None:
    np.random.seed(0)  # noqa: NPY002 - the global state is what must stay
    torch.manual_seed(0)
    before = np.random.get_state(legacy=False)["state"]["key"].copy(), torch.get_rng_state()  # noqa: NPY002 - as above
    first = ShapesDataset(1)[0]
    assert np.array_equal(np.random.get_state(legacy=False)["state"]["key"], before[0])  # noqa: NPY002 - as above
    assert torch.equal(torch.get_rng_state(), before[1])
    torch.manual_seed(1)
    assert equal(ShapesDataset(1)[0], first)


def test_a_pickled_dataset_is_the_same() -> None:
    dataset = ShapesDataset(5, image_size=(20, 31), max_objects=2, seed=9, channels=2)
    copy = pickle.loads(pickle.dumps(dataset))
    assert len(copy) == 5
    assert equal(copy[3], dataset[3])
    assert equal(pickle.loads(pickle.dumps(dataset[3])), dataset[3])


def test_indices_are_those_of_a_list() -> None:
    dataset = ShapesDataset(5)
    assert equal(dataset[-1], dataset[4])
    assert equal(dataset[-5], dataset[0])
    for index in (5, -6):
        with pytest.raises(IndexError, match=rf"index {index} is out of range for 5 samples"):
            dataset[index]


def test_one_object() -> None:
    dataset = ShapesDataset(60)
    for index in range(60):
        sample = dataset[index]
        assert set(sample.mask.flatten().tolist()) == {0, sample.label + 1}
        assert sample.labels.tolist() == [int(label == sample.label) for label in range(4)]
        assert sample.box_labels.tolist() == [sample.label]
        assert sample.boxes.tolist() == [sample.box.tolist()] == [extent(sample.mask)]


def test_several_objects() -> None:
    dataset = ShapesDataset(80, min_objects=2, max_objects=5)
    counts = set()
    for index in range(80):
        sample = dataset[index]
        present = set(sample.box_labels.tolist())
        counts.add(len(sample.boxes))
        assert set(sample.labels.nonzero().flatten().tolist()) == present
        assert set(sample.mask.flatten().tolist()) - {0} == {label + 1 for label in present}
        assert extent(sample.mask) == [*sample.boxes[:, :2].amin(0).tolist(), *sample.boxes[:, 2:].amax(0).tolist()]
        assert sample.box.tolist() in sample.boxes[sample.box_labels == sample.label].tolist()
        areas = {}
        for label in present:
            boxes, visible = sample.boxes[sample.box_labels == label], sample.mask == label + 1
            if len(boxes) == 1:
                assert boxes[0].tolist() == extent(visible)
                areas[label] = int(visible.sum())
        if len(areas) == len(sample.boxes):
            assert areas[sample.label] == max(areas.values())
    assert counts == {2, 3, 4, 5}


def test_classes_are_equally_frequent() -> None:
    dataset = ShapesDataset(400, image_size=16)
    counts = torch.bincount(torch.tensor([dataset[index].label for index in range(400)]))
    assert len(counts) == len(CLASS_NAMES)
    assert counts.sub(100).abs().max() < 44  # five standard deviations


@pytest.mark.parametrize("size", [28, 64, (48, 100)])
def test_an_object_is_inside_and_of_the_promised_size(size: int | tuple[int, int]) -> None:
    height, width = (size, size) if isinstance(size, int) else size
    dataset = ShapesDataset(100, image_size=size)
    diameters = []
    for sample in map(dataset.__getitem__, range(100)):
        x1, y1, x2, y2 = sample.box.tolist()
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        if sample.label == 0:
            diameters.append(x2 - x1)
    assert min(diameters) >= max(8, 0.2 * min(height, width)) - 1
    assert 0.45 * min(height, width) < max(diameters) <= 0.6 * min(height, width) + 1


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_an_object_differs_from_its_ground(channels: int) -> None:
    dataset = ShapesDataset(30, channels=channels)
    for sample in map(dataset.__getitem__, range(30)):
        mask = (sample.mask > 0).float()[None]
        # Away from the soft edges, which reach farthest at the points of a star.
        inside, ground = max_pool2d(1 - mask, 3, 1, 1)[0] == 0, max_pool2d(mask, 7, 1, 3)[0] == 0
        image = sample.image.int()
        low, high = image[:, ground].amin(1), image[:, ground].amax(1)
        gap = torch.maximum(image[:, inside].amin(1) - high, low - image[:, inside].amax(1))
        assert gap.max() >= 80 - 2 * 8
        assert (high - low).max() >= 10  # no flat ground


@pytest.mark.parametrize(("size", "count"), [(16, 4), (28, 9), ((17, 41), 10), (64, 25), (64, 6)])
def test_a_crowd_loses_no_object(size: int | tuple[int, int], count: int) -> None:
    dataset = ShapesDataset(60, image_size=size, min_objects=count, max_objects=count)
    for sample in map(dataset.__getitem__, range(60)):
        assert sample.boxes.shape == (count, 4)
        assert sample.box_labels.shape == (count,)
        assert (sample.boxes[:, 2:] - sample.boxes[:, :2]).min() >= 4


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (33, 47), (61, 20)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_shapes_and_types(size: tuple[int, int], channels: int) -> None:
    sample = ShapesDataset(3, image_size=size, channels=channels)[2]
    assert (sample.image.shape, sample.image.dtype) == ((channels, *size), torch.uint8)
    assert (sample.mask.shape, sample.mask.dtype) == (size, torch.uint8)
    assert (sample.labels.shape, sample.labels.dtype) == ((4,), torch.uint8)
    assert (sample.box.shape, sample.box.dtype) == ((4,), torch.float32)
    assert (sample.boxes.shape, sample.boxes.dtype) == ((1, 4), torch.float32)
    assert (sample.box_labels.shape, sample.box_labels.dtype) == ((1,), torch.int64)
    assert isinstance(sample.label, int)


@pytest.mark.parametrize("label", range(4))
@pytest.mark.parametrize("turn", [0, 77, 543])
def test_shapes_are_those_of_their_corners(label: int, turn: int) -> None:
    radius, start = 5000, math.radians(turn / 2)
    if CLASS_NAMES[label] == "star":
        inner = math.cos(math.radians(72)) / math.cos(math.radians(36))
        corners = [(start + math.pi / 5 * k, radius * (inner if k % 2 else 1)) for k in range(10)]
    else:
        sides = {"circle": 360, "square": 4, "triangle": 3}[CLASS_NAMES[label]]
        corners = [(start + math.pi / sides * (2 * k + 1), float(radius)) for k in range(sides)]
    steps = np.arange(-5500, 5501, 250, dtype=np.int64)
    y, x = steps[:, None], steps
    inside = np.zeros((len(steps), len(steps)), dtype=bool)
    edges = np.full(inside.shape, np.inf)
    for (angle, length), (next_angle, next_length) in zip(corners, corners[1:] + corners[:1], strict=True):
        x1, y1, x2, y2 = (
            length * math.cos(angle),
            length * math.sin(angle),
            next_length * math.cos(next_angle),
            next_length * math.sin(next_angle),
        )
        left = ((x - x1) * (y2 - y1) < (x2 - x1) * (y - y1)) ^ (y2 < y1)
        inside ^= ((y1 > y) != (y2 > y)) & left
        along = np.clip(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / ((x2 - x1) ** 2 + (y2 - y1) ** 2), 0, 1)
        edges = np.minimum(edges, np.hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1)))
    clear = edges > 8  # 1/32 pixel
    found = _depth(label, turn, radius, y, x)
    assert clear.mean() > 0.9
    assert np.array_equal((found >= 0)[clear], inside[clear])


_EXPECTED = "expected pixels, at least 16: one number for a square, or (height, width), such as 224 or (240, 320)."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0}, "num_samples is 0, but must be at least 1."),
        ({"image_size": 15}, f"image_size is 15; {_EXPECTED}"),
        ({"image_size": (64, 8)}, f"image_size is (64, 8); {_EXPECTED}"),
        ({"min_objects": 0}, "min_objects is 0, but must be at least 1."),
        ({"min_objects": 3, "max_objects": 2}, "max_objects is 2, but must be at least 3 (min_objects)."),
        ({"max_objects": 26}, "max_objects is 26, but 25 fit into 64 x 64 pixels at most."),
        ({"seed": -1}, "seed is -1, but must be at least 0."),
        ({"channels": 0}, "channels is 0, but must be at least 1."),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        ShapesDataset(**({"num_samples": 10} | arguments))
    assert str(caught.value) == message
