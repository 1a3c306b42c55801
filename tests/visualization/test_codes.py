import pytest
import torch

from visiontasks import AutoencodingBatch
from visiontasks.types import AutoencodingPredictions
from visiontasks.visualization import class_color, code_map, draw_interpolation, draw_neighbours, draw_reconstructions
from visiontasks.visualization.codes import principal_plane


@pytest.mark.parametrize(("count", "channels"), [(3, 1), (11, 3), (1, 5)])
def test_reconstructions_stand_below_their_images(count: int, channels: int) -> None:
    images = torch.zeros(count, channels, 10, 12, dtype=torch.uint8)
    batch = AutoencodingBatch(images, torch.full((count,), -1), torch.arange(count))
    made = torch.ones(count, channels, 10, 12)
    picture = draw_reconstructions(batch, AutoencodingPredictions(made, torch.zeros(count, 4)))
    rows = -(-count // 8)
    height, width = picture.shape[1:]
    assert width == min(count, 8) * (12 * 13 + 6) + 6
    assert height == 2 * rows * (10 * 13 + 26) + 6
    # Black above, white below, in the middle of the first two tiles.
    assert picture[:, 6 + 20 + 65, 6 + 78].tolist() == [0, 0, 0]
    assert picture[:, 6 + 20 + 65 + 156, 6 + 78].tolist() == [255, 255, 255]


def test_a_row_leads_from_one_image_to_another() -> None:
    images = torch.linspace(0, 1, 5)[None, :, None, None, None].expand(2, 5, 1, 128, 128)
    picture = draw_interpolation(images)
    values = [int(picture[0, 70, 54 + 134 * step]) for step in range(5)]
    assert values == [0, 64, 128, 191, 255]


def test_neighbours_follow_the_image() -> None:
    tiles = [torch.full((1, 128, 128), value, dtype=torch.uint8) for value in (10, 20, 30)]
    picture = draw_neighbours(tiles[0], tiles[1:], ["near", "far"])
    assert [int(picture[0, 70, 54 + 134 * step]) for step in range(3)] == [10, 20, 30]


def test_the_plane_is_that_of_most_variance() -> None:
    codes = torch.randn(500, 6) * torch.tensor([1.0, 5, 0.1, 0.1, 3, 0.1]) + 7
    places, shares = principal_plane(codes)
    centred = codes - codes.mean(0)
    _, values, vectors = torch.linalg.svd(centred, full_matrices=False)
    torch.testing.assert_close(places.abs(), (centred @ vectors[:2].T).abs(), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(shares, values[:2].square() / values.square().sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_codes_of_any_size_are_drawn_in_the_colours_of_their_classes(size: int) -> None:
    codes = torch.cat([torch.randn(20, size) - 9, torch.randn(20, size) + 9])
    labels = torch.arange(2).repeat_interleave(20)
    picture = code_map(codes, labels, ["one", "two"]).flatten(1).T
    for label in (0, 1):
        assert (picture == torch.tensor(class_color(label))).all(1).sum() > 100
    assert code_map(torch.ones(3, size), torch.full((3,), -1)).shape[0] == 3
