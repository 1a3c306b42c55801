import numpy as np
import pytest

from visiontasks.data.datasets.shapes import ShapesDataset
from visiontasks.detection.selective_search import selective_search
from visiontasks.errors import ArgumentError
from visiontasks.metrics.proposal_recall import proposal_recall


def test_coloured_boxes_on_a_plain_ground_are_found_exactly() -> None:
    image = np.full((80, 120, 3), 200, np.uint8)
    image[10:40, 20:60], image[45:75, 70:110] = (200, 30, 30), (30, 30, 200)
    # The initial blur moves borders by a pixel or so.
    found = selective_search(image, "single")
    truth = np.array([[20.0, 10, 60, 40], [70, 45, 110, 75]])
    assert np.abs(found[:, None] - truth).max(-1).min(0).max() <= 3
    assert [0, 0, 120, 80] in found.tolist()


def test_shapes_are_among_the_proposals() -> None:
    shapes = ShapesDataset(6, image_size=96, max_objects=3)
    pairs = []
    for index in range(6):
        pixels = shapes[index].image.permute(1, 2, 0).numpy()
        pairs.append((selective_search(pixels, "fast", seed=index), shapes[index].boxes.double().numpy()))
    assert proposal_recall(pairs)["recall_50_1000"] > 0.8
    assert all(len(np.unique(found, axis=0)) == len(found) for found, _ in pairs)


def test_the_same_seed_gives_the_same_order_and_another_another() -> None:
    pixels = ShapesDataset(1, image_size=128, min_objects=5, max_objects=5)[0].image.permute(1, 2, 0).numpy()
    first = selective_search(pixels, "single", least=2, seed=3)
    np.testing.assert_array_equal(first, selective_search(pixels, "single", least=2, seed=3))
    other = selective_search(pixels, "single", least=2, seed=4)
    assert sorted(first.tolist()) == sorted(other.tolist())
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 3), (30, 30, 1), (16, 16, 4)])
def test_images_of_any_shape_work(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    found = selective_search(image, "fast", least=1)
    assert found[:, 2:].max(0, initial=0).tolist() <= [shape[1], shape[0]]
    assert [0, 0, shape[1], shape[0]] in found.tolist()


def test_an_unknown_mode_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"mode is 'best'\. Known: 'fast', 'quality', 'single'"):
        selective_search(np.zeros((8, 8, 3), np.uint8), "best")
