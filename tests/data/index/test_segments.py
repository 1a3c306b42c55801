from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec import Raw
from pycocotools import mask as coco_mask

from tests.test_instance_masks import drawn
from visiontasks.data.index.coco_segments import pack_segments
from visiontasks.data.index.segments import Segments, pack_coordinates, run_counts, unpack_coordinates


@pytest.mark.parametrize(
    ("low", "high", "decimals", "dtype"),
    [
        (0, 640, 2, "uint16"),
        (-5, 640, 2, "int32"),
        (0, 9000, 1, "int32"),
        (0, 640, 3, "float64"),
        (0, 1e9, 2, "float64"),
    ],
)
def test_coordinates_come_back_bit_for_bit(low: float, high: float, decimals: int, dtype: str) -> None:
    values = np.round(np.random.default_rng(0).uniform(low, high, 20_000), decimals)
    values[0] = low if low < 0 else high  # the range is used
    packed = pack_coordinates(values)
    assert packed.dtype == dtype
    np.testing.assert_array_equal(unpack_coordinates(packed), values)


def test_every_hundredth_of_a_pixel_is_exact() -> None:
    written = np.array([float(f"{number // 100}.{number % 100:02d}") for number in range(65_536)])
    packed = pack_coordinates(written)
    assert packed.dtype == np.uint16
    np.testing.assert_array_equal(unpack_coordinates(packed), written)


def test_no_coordinates() -> None:
    assert len(unpack_coordinates(pack_coordinates(np.zeros(0)))) == 0


def random_segments(seed: int) -> tuple[Segments, list[object]]:
    """Draw polygons (some of several parts, some outside of the image, some thinner than a pixel) and run lengths."""
    random = np.random.default_rng(seed)
    shapes: list[object] = []
    for number in range(24):
        kind = number % 4
        if kind == 0:
            mask = np.asfortranarray(random.random((37, 53)) < random.random(), np.uint8)
            if number % 8:
                mask[:] = 0
            shapes.append({"size": [37, 53], "counts": coco_mask.encode(mask)["counts"].decode()})
        elif kind == 1:
            shapes.append([])
        else:
            parts = int(random.integers(1, 4))
            polygons = [
                (random.uniform(-5, 60, 2) + random.normal(0, random.choice([0.1, 6]), (5, 2))).ravel().round(2).tolist()
                for _ in range(parts)
            ]
            shapes.append(polygons)
    texts = [Raw(msgspec.json.encode(shape)) for shape in shapes]
    segments, problems = pack_segments(texts, np.full((24, 2), (37, 53), np.int32), lambda row: ("file", str(row)))
    assert segments is not None
    assert {problem.kind for problem in problems} == {"object without segmentation"}
    return segments, shapes


@pytest.mark.parametrize("seed", range(10))
def test_packed_masks_are_those_of_pycocotools(seed: int) -> None:
    segments, shapes = random_segments(seed)
    objects = np.random.default_rng(seed).permutation(24)
    bits, windows = segments.pack(objects.tolist(), (37, 53))
    expected = np.zeros((24, 37, 53), np.uint8)
    for mask, obj in zip(expected, objects, strict=True):
        shape: Any = shapes[obj]
        if shape:
            runs = coco_mask.merge(coco_mask.frPyObjects(shape, 37, 53)) if isinstance(shape, list) else shape
            mask[:] = coco_mask.decode(runs)
    np.testing.assert_array_equal(drawn(bits, windows, (37, 53)), expected)
    assert segments.known().tolist() == [bool(shape) for shape in shapes]


def test_run_lengths_of_another_size_are_refused() -> None:
    segments, _ = random_segments(0)
    with pytest.raises(ValueError, match="their sum is 1961"):
        segments.pack([0], (37, 54))


def test_run_lengths_are_those_that_were_compressed() -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 3, 4, 5, 60):
        runs = random.integers(0, 3000, count).tolist()
        total = sum(runs)
        compressed = coco_mask.frPyObjects({"counts": runs, "size": [total, 1]}, total, 1)["counts"]
        found = run_counts(compressed)
        assert found is not None
        assert found.tolist() == runs
    for wrong in (b"", b"\x00", b"p", b"PPPPPPPPPPPPPPPPP0"):
        assert run_counts(wrong) is None
