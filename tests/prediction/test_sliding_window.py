from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visiontasks.errors import ArgumentError
from visiontasks.prediction.sliding_window import slide, spans


@pytest.mark.parametrize("length", [1, 16, 47, 48, 100, 333])
@pytest.mark.parametrize(("window", "overlap", "multiple"), [(48, 16, 16), (64, 0, 32), (40, 30, 4), (33, 8, 1)])
def test_windows_cover_the_side_and_their_weights_add_up_to_one(
    length: int, window: int, overlap: int, multiple: int
) -> None:
    found = spans(length, window, overlap, multiple)
    total = torch.zeros(length)
    for span in found:
        assert span.start % multiple == 0
        assert min(length, window) <= len(span.weights) < window + multiple or span.stop == length
        total[span.start : span.stop] += span.weights
    torch.testing.assert_close(total, torch.ones(length))
    assert found[-1].stop == length
    assert all(one.stop - other.start >= min(overlap, window - multiple) for one, other in pairwise(found))
    # Away from inner borders a pixel belongs to one window or to the blend of two, and never to the outermost pixels.
    if overlap >= 8:
        assert all(other.weights[0] == 0 and one.weights[-1] == 0 for one, other in pairwise(found))


def blur(radius: int) -> nn.Module:
    layer = nn.Conv2d(2, 3, 2 * radius + 1, padding=radius)
    return layer.requires_grad_(False)


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("size", [(48, 48), (100, 131), (20, 300), (97, 33)])
def test_it_equals_the_whole_image_where_the_receptive_field_allows_it(size: tuple[int, int], batch_size: int) -> None:
    network = blur(radius=3)

    def predict(images: Tensor) -> Tensor:
        probabilities: Tensor = network(images.float() / 255).softmax(1)
        return probabilities

    image = torch.randint(256, (2, *size), dtype=torch.uint8)
    # The outer quarter of an overlap of 12 pixels is not used: 3 pixels, which the filters reach over.
    parts = slide(predict, image, window=(48, 48), overlap=0.25, multiple=4, batch_size=batch_size)
    torch.testing.assert_close(torch.cat(list(parts), 1), predict(image[None])[0])


def test_strided_networks_see_the_grid_of_the_whole_image() -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(1, 2, 3, 4, 1).requires_grad_(False)

    def predict(images: Tensor) -> Tensor:
        size = images.shape[-2:]
        return F.interpolate(layer(images.float() / 255), scale_factor=4.0)[..., : size[0], : size[1]].softmax(1)

    image = torch.randint(256, (1, 90, 117), dtype=torch.uint8)
    found = torch.cat(list(slide(predict, image, window=(48, 40), overlap=0.5, multiple=4)), 1)
    torch.testing.assert_close(found, predict(image[None])[0])


def test_without_a_window_the_network_sees_the_whole_image_once() -> None:
    seen: list[tuple[int, ...]] = []

    def predict(images: Tensor) -> Tensor:
        seen.append(tuple(images.shape))
        return torch.ones(len(images), 1, *images.shape[-2:])

    (rows,) = slide(predict, torch.zeros(3, 40, 70, dtype=torch.uint8))
    assert rows.shape == (1, 40, 70)
    assert seen == [(1, 3, 40, 70)]


def test_no_more_is_kept_than_a_row_of_windows() -> None:
    rows = [
        part.shape[1]
        for part in slide(lambda x: x.float(), torch.zeros(1, 1000, 80, dtype=torch.uint8), window=(64, 64))
    ]
    assert sum(rows) == 1000
    assert max(rows) <= 64 + 31


@pytest.mark.parametrize(("window", "overlap"), [((16, 64), 0.25), ((64, 64), 0.95), ((64, 64), -0.1)])
def test_wrong_windows_are_an_error(window: tuple[int, int], overlap: float) -> None:
    image = torch.zeros(1, 100, 100, dtype=torch.uint8)
    with pytest.raises(ArgumentError, match="expected sides of at least 32 pixels"):
        list(slide(lambda x: x.float(), image, window=window, overlap=overlap))


def test_by_default_a_window_overlaps_the_next_by_a_quarter() -> None:
    starts: list[int] = []

    def predict(windows: Tensor) -> Tensor:
        starts.extend(int(window[0, 0, 0]) for window in windows)
        return windows.float()

    image = torch.arange(160, dtype=torch.uint8).expand(1, 64, 160)
    list(slide(predict, image, window=(64, 64), multiple=4))
    assert starts == [0, 48, 96]
