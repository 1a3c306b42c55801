"""Drawing."""

import pytest
import torch

from visiontasks.types import ClassificationBatch, ClassificationPredictions, DetectionBatch, SegmentationBatch
from visiontasks.visualization import bar_chart, class_color, draw_classification, draw_sample, grid, to_rgb


def test_to_rgb_of_any_number_of_channels() -> None:
    grey = torch.arange(4, dtype=torch.uint8).reshape(1, 2, 2)
    assert torch.equal(to_rgb(grey), grey.repeat(3, 1, 1))
    many = torch.arange(20, dtype=torch.uint8).reshape(5, 2, 2)
    assert torch.equal(to_rgb(many), many[:3])
    assert to_rgb(torch.ones(3, 2, 2)).max() == 255


def test_grid_magnifies_by_a_whole_factor_and_keeps_pixels() -> None:
    image = torch.randint(0, 256, (3, 24, 32), dtype=torch.uint8)
    picture = grid([image] * 5, ["a title that is far too long for the picture"] * 5, columns=3)
    assert picture.shape == (3, 2 * (96 + 20 + 6) + 6, 3 * (128 + 6) + 6)
    # The first picture lies below its title, four pixels to one.
    assert torch.equal(picture[:, 26 : 26 + 96 : 4, 6 : 6 + 128 : 4], image)


def test_right_and_wrong_predictions_have_their_colors() -> None:
    batch = ClassificationBatch(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1]), torch.arange(2))
    predictions = ClassificationPredictions(torch.eye(2)[[0, 0]], torch.tensor([0, 0]), torch.ones(2))
    picture = draw_classification(batch, predictions, ["cat", "dog"]).permute(1, 2, 0)
    left, right = picture[:26, :90].reshape(-1, 3), picture[:26, 90:].reshape(-1, 3)
    assert (left == torch.tensor([0, 110, 60])).all(1).any()
    assert not (left == torch.tensor([200, 30, 30])).all(1).any()
    assert (right == torch.tensor([200, 30, 30])).all(1).any()


def test_a_box_is_drawn_where_it_lies_in_the_colour_of_its_class() -> None:
    batch = DetectionBatch(
        torch.zeros(1, 3, 40, 64, dtype=torch.uint8),
        torch.tensor([[[10.0, 20, 20, 30], [0, 0, 0, 0]]]),
        torch.tensor([[1, -1]]),
        torch.tensor([[False, False]]),
        torch.tensor([[40, 60]]),
        torch.ones(1, 2),
        torch.tensor([0]),
    )
    picture, title = draw_sample(batch, ["cat", "dog"], side=120)
    assert title == "1 object"
    assert picture.shape == (3, 120, 120)
    for x, y in ((20, 50), (40, 50), (30, 60), (30, 40)):
        assert tuple(picture[:, y, x].tolist()) == class_color(1)
    assert picture[:, 50, 30].tolist() == [0, 0, 0]
    assert picture[:, 100, 60].tolist() == [255, 255, 255]  # paper below the image


def test_a_mask_colours_classes_and_leaves_the_background() -> None:
    mask = torch.zeros(1, 8, 8, dtype=torch.uint8)
    mask[0, 4:, 4:] = 1
    mask[0, 4:, :4] = 255
    size, scale = torch.tensor([[8, 8]]), torch.ones(1, 2)
    images = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    picture, title = draw_sample(SegmentationBatch(images, mask, size, scale, size[0, :1]), ["background", "cat"], 160)
    assert title == "background, cat"
    assert picture[:, 40, 130].tolist() == [100, 100, 100]
    expected = torch.tensor(class_color(1)) / 2 + 50
    torch.testing.assert_close(picture[:, 120, 120].float(), expected, atol=1, rtol=0)
    assert len(set(picture[:, 120, 40].tolist())) == 1, "ignored pixels are grey"


def test_titles_name_the_classes_of_an_image() -> None:
    images, ids = torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.tensor([0])
    names = ["cat", "dog", "cow"]
    assert draw_sample(ClassificationBatch(images, torch.tensor([2]), ids), names)[1] == "cow"
    several = torch.tensor([[1, 0, 1]], dtype=torch.uint8)
    assert draw_sample(ClassificationBatch(images, several, ids), names)[1] == "cat, cow"


def test_bars_are_as_long_as_their_counts() -> None:
    picture = bar_chart("objects", ["cat", "dog"], {"train": [40, 20]})
    color = torch.tensor(class_color(0), dtype=torch.uint8)[:, None, None]
    lengths = sorted((picture == color).all(0).sum(1).unique().tolist())
    assert lengths[-1] == pytest.approx(2 * lengths[-2], abs=3)
