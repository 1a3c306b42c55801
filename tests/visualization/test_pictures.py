import torch

from visiontasks.types import (
    ClassificationBatch,
    ClassificationPredictions,
)
from visiontasks.visualization import (
    draw_classification,
    grid,
    to_rgb,
)


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


def test_several_classes_are_named_and_have_their_colors() -> None:
    images = torch.zeros(3, 1, 28, 28, dtype=torch.uint8)
    present = torch.tensor([[1, 1], [0, 0], [1, 0]], dtype=torch.uint8)
    said = torch.tensor([[1, 1], [0, 0], [1, 1]], dtype=torch.uint8)
    batch = ClassificationBatch(images, present, torch.arange(3))
    probabilities = torch.rand(3, 2)
    predictions = ClassificationPredictions(probabilities, said, probabilities)
    picture = draw_classification(batch, predictions, ["cat", "dog"])[:, :26].permute(1, 2, 0)
    for index, color in enumerate(((0, 110, 60), (0, 110, 60), (200, 30, 30))):
        title = picture[:, 90 * index + 6 : 90 * (index + 1) + 6].reshape(-1, 3)
        assert (title == torch.tensor(color)).all(1).any()
    expected = grid(list(images), ["cat, dog", "none", "cat, dog (cat)"], [(0, 110, 60), (0, 110, 60), (200, 30, 30)])
    assert torch.equal(draw_classification(batch, predictions, ["cat", "dog"]), expected)
