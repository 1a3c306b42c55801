import pytest
import torch

from visiontasks.types import ClassificationBatch, ClassificationPredictions
from visiontasks.visualization import (
    draw_classification,
    grid,
    to_rgb,
)
from visiontasks.visualization.captions import break_lines
from visiontasks.visualization.pictures import fit_size


def test_to_rgb_of_any_number_of_channels() -> None:
    grey = torch.arange(4, dtype=torch.uint8).reshape(1, 2, 2)
    assert torch.equal(to_rgb(grey), grey.repeat(3, 1, 1))
    many = torch.arange(20, dtype=torch.uint8).reshape(5, 2, 2)
    assert torch.equal(to_rgb(many), many[:3])
    assert to_rgb(torch.ones(3, 2, 2)).max() == 255


def test_grid_magnifies_by_a_whole_factor_and_keeps_pixels() -> None:
    image = torch.randint(0, 256, (3, 24, 32), dtype=torch.uint8)
    picture = grid([image] * 5, ["a title"] * 5, columns=3)
    assert picture.shape == (3, 2 * (120 + 20 + 6) + 6, 3 * (160 + 6) + 6)
    # The first picture lies below its title, five pixels to one.
    assert torch.equal(picture[:, 26 : 26 + 120 : 5, 6 : 6 + 160 : 5], image)


def test_large_images_are_reduced_and_images_of_any_sizes_stand_in_columns() -> None:
    large, wide = torch.full((3, 3500, 1750), 10, dtype=torch.uint8), torch.full((1, 160, 320), 20, dtype=torch.uint8)
    picture = grid([large, wide, large], ["a"] * 3, columns=2)
    assert picture.shape == (3, 2 * (320 + 20 + 6) + 6, 2 * (320 + 6) + 6)
    assert (picture[:, 26 : 26 + 320, 6 : 6 + 160] == 10).all()
    assert (picture[:, 26 : 26 + 160, 332 : 332 + 320] == 20).all()
    assert (picture[:, 26 + 160 : 26 + 320, 332:] == 255).all()  # paper


@pytest.mark.parametrize("side", [28, 3500])
def test_a_long_title_is_broken_into_lines_and_not_cut(side: int) -> None:
    image, title = (
        torch.zeros(1, side, side, dtype=torch.uint8),
        "a class of a rather long name, true: another such class",
    )
    width = fit_size(image)[0]
    assert 128 <= width <= 320
    lines = break_lines(title, width, 13)
    assert " ".join(lines) == title
    picture = grid([image, image], [title, "short"])
    assert picture.shape[1] == 6 + 16 * len(lines) + 4 + width + 6
    # The second title has one line, and the others are written.
    for number in range(len(lines)):
        text = picture[0, 6 + 16 * number : 22 + 16 * number]
        assert (text[:, 6 : 6 + width] < 128).any()
        assert (text[:, 12 + width :] < 128).any() == (number == 0)


def test_right_and_wrong_predictions_have_their_colors() -> None:
    batch = ClassificationBatch(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 1]), torch.arange(2))
    predictions = ClassificationPredictions(torch.eye(2)[[0, 0]], torch.tensor([0, 0]), torch.ones(2))
    picture = draw_classification(batch, predictions, ["cat", "dog"]).permute(1, 2, 0)
    left, right = picture[:42, :146].reshape(-1, 3), picture[:42, 146:].reshape(-1, 3)
    assert (left == torch.tensor([0, 110, 60])).all(1).any()
    assert not (left == torch.tensor([200, 30, 30])).all(1).any()
    assert (right == torch.tensor([200, 30, 30])).all(1).any()


def test_several_classes_are_named_and_have_their_colors() -> None:
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    present = torch.tensor([[1, 1], [0, 0], [1, 0]], dtype=torch.uint8)
    said = torch.tensor([[1, 1], [0, 0], [1, 1]], dtype=torch.uint8)
    batch = ClassificationBatch(images, present, torch.arange(3))
    probabilities = torch.rand(3, 2)
    predictions = ClassificationPredictions(probabilities, said, probabilities)
    picture = draw_classification(batch, predictions, ["cat", "dog"])[:, :42].permute(1, 2, 0)
    for index, color in enumerate(((0, 110, 60), (0, 110, 60), (200, 30, 30))):
        title = picture[:, 146 * index + 6 : 146 * (index + 1) + 6].reshape(-1, 3)
        assert (title == torch.tensor(color)).all(1).any()
    expected = grid(
        list(images), ["cat, dog", "none", "cat, dog\ntrue: cat"], [(0, 110, 60), (0, 110, 60), (200, 30, 30)]
    )
    assert torch.equal(draw_classification(batch, predictions, ["cat", "dog"]), expected)
