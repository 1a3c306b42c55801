"""Drawing."""

import pytest
import torch
from torch import nn

from visiontasks import create_backbone
from visiontasks.errors import ArgumentError
from visiontasks.types import (
    ClassificationBatch,
    ClassificationPredictions,
    DetectionBatch,
    DetectionPredictions,
    LocalizationBatch,
    LocalizationPredictions,
    SegmentationBatch,
)
from visiontasks.visualization import (
    bar_chart,
    class_color,
    draw_activations,
    draw_classification,
    draw_detections,
    draw_filters,
    draw_localization,
    draw_sample,
    first_convolution,
    grid,
    reliability_diagram,
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


def test_a_reliability_diagram_shows_every_bin_that_holds_something() -> None:
    counts = torch.tensor([0.0, 1.0, 3.0])
    confidence, accuracy = torch.tensor([torch.nan, 0.5, 0.9]), torch.tensor([torch.nan, 0.75, 0.6])
    picture = reliability_diagram(counts, confidence, accuracy)
    blue, red = torch.tensor([70, 110, 180])[:, None, None], torch.tensor([230, 130, 110])[:, None, None]
    left, top, side = 46, 40, 300
    middles = [left + side // 6, left + side // 2 + 20, left + side * 5 // 6 - 10]
    columns = [picture[:, top + 1 : top + side - 1, x : x + 1] for x in middles]
    heights = [int((column == blue).all(0).sum()) / side for column in columns]
    # The diagonal and the outline of the gap lie over the bars.
    assert heights == pytest.approx([0, 0.75, 0.6], abs=0.03)
    gaps = [int((column == red).all(0).sum()) / side for column in columns]
    assert gaps == pytest.approx([0, 0, 0.3], abs=0.03)


def test_predicted_boxes_are_green_or_red_and_true_ones_yellow() -> None:
    boxes = torch.tensor([[4.0, 8, 24, 28], [4, 8, 24, 28], [4, 8, 24, 28], [0, 0, 0, 0]])
    batch = LocalizationBatch(
        torch.zeros(4, 1, 40, 40, dtype=torch.uint8),
        torch.tensor([1, 1, 0, -1]),
        boxes,
        torch.full((4, 2), 40),
        torch.ones(4, 2),
        torch.arange(4),
    )
    found = torch.tensor([[6.0, 8, 26, 28], [20, 8, 40, 28], [4, 12, 24, 32], [4, 8, 24, 28]])
    predictions = LocalizationPredictions(
        torch.eye(2)[[1, 1, 1, 1]],
        torch.ones(4, dtype=torch.int64),
        torch.ones(4),
        found,
        found[:, None].expand(4, 2, 4),
    )
    picture = draw_localization(batch, predictions, ["cat", "dog"], columns=4, side=200)
    assert picture.shape == (3, 226 + 6, 4 * 206 + 6)
    green, red, yellow = [0, 110, 60], [200, 30, 30], [255, 200, 0]
    for column, (color, has_true) in enumerate(((green, True), (red, True), (red, True), (red, False))):
        tile = picture[:, 26:226, 6 + 206 * column : 206 + 206 * column]
        bottom = round(5 * found[column, 3].item())
        assert tile[:, bottom, round(5 * found[column, 2].item()) - 4].tolist() == color
        assert (tile.permute(1, 2, 0) == torch.tensor(yellow)).all(2).any() == has_true


def test_filters_of_three_channels_are_drawn_in_colour_each_scaled_by_itself() -> None:
    weight = torch.zeros(3, 3, 5, 5)
    weight[0, 0], weight[1, 1], weight[2] = 0.1, -7, torch.tensor(2.0)
    picture = draw_filters(weight, columns=2)
    side = 5 * 8
    assert picture.shape == (3, 2 * side + 3, 2 * side + 3)
    grey = 128
    assert picture[:, 0, 0].tolist() == [255, grey, grey]
    assert picture[:, 0, side + 3].tolist() == [grey, 0, grey]
    assert picture[:, side + 3, 0].tolist() == [255, 255, 255]


def test_filters_of_other_channels_are_mosaics_in_grey() -> None:
    weight = torch.zeros(1, 5, 2, 2)
    weight[0, 4] = 1
    picture = draw_filters(weight)
    # Three by two channels of 2 x 2 pixels with a pixel between them, magnified eight times.
    assert picture.shape == (3, 8 * 5, 8 * 8)
    assert (picture[0] == picture[1]).all()
    assert picture[0, 8 * 3, 8 * 3] == 255
    assert picture[0, 0, 0] == 128
    assert draw_filters(torch.randn(4, 1, 7, 7)).shape == (3, 42, 4 * 42 + 9)


def test_the_strongest_channels_come_first() -> None:
    feature = torch.zeros(5, 8, 8)
    feature[3, 2, 2], feature[1] = 100, torch.arange(64.0).view(8, 8) / 100
    picture = draw_activations([feature], count=2)
    assert picture.shape == (3, 67, 2 * 64 + 3)
    first, second = picture[0, :64, :64], picture[0, :64, 67:]
    assert first[2 * 8, 2 * 8] == 255
    assert (first == 255).sum() == 64
    assert second[0, 0] == 0
    assert second[-1, -1] == 255
    assert (second.diff(dim=1) >= 0).all()


def test_the_image_and_maps_of_any_size_fit_one_picture() -> None:
    features = [torch.randn(3, 224, 200), torch.randn(20, 7, 7), torch.randn(9, 1, 1)]
    picture = draw_activations(features, torch.rand(1, 28, 28))
    assert picture.dtype == torch.uint8
    assert picture.shape[0] == 3


def test_the_first_convolution_is_found_or_said_to_be_missing() -> None:
    backbone = create_backbone("resnet18", in_channels=2)
    assert first_convolution(backbone).weight.shape == (64, 2, 7, 7)
    with pytest.raises(ArgumentError, match="Linear has no convolution"):
        first_convolution(nn.Linear(2, 2))


def test_a_box_is_drawn_where_it_lies_in_the_colour_of_its_class() -> None:
    batch = DetectionBatch(
        torch.zeros(1, 3, 40, 64, dtype=torch.uint8),
        torch.tensor([[[10.0, 20, 20, 30], [0, 0, 0, 0]]]),
        torch.tensor([[1, -1]]),
        torch.tensor([[False, False]]),
        torch.tensor([[40, 60]]),
        torch.ones(1, 2),
        torch.tensor([0]),
        torch.zeros(1, 2),
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


def test_of_several_classes_of_a_pixel_the_last_is_drawn() -> None:
    masks = torch.zeros(1, 2, 8, 8, dtype=torch.uint8)
    masks[0, 0, :4], masks[0, 1, :2] = 1, 1
    size = torch.tensor([[6, 8]])
    images = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    picture, title = draw_sample(SegmentationBatch(images, masks, size, torch.ones(1, 2), size[0, :1]), ["a", "b"], 160)
    assert title == "a, b"
    for row, label in ((30, 1), (70, 0)):
        expected = torch.tensor(class_color(label)) / 2 + 50
        torch.testing.assert_close(picture[:, row, 120].float(), expected, atol=1, rtol=0)
    assert len(set(picture[:, 110, 120].tolist())) == 1, "a pixel of no class is grey"


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


def test_detections_are_drawn_beside_the_objects() -> None:
    batch = DetectionBatch(
        torch.zeros(2, 3, 40, 64, dtype=torch.uint8),
        torch.tensor([[[10.0, 20, 20, 30]], [[0, 0, 0, 0]]]),
        torch.tensor([[1], [-1]]),
        torch.zeros(2, 1, dtype=torch.bool),
        torch.tensor([[40, 64], [40, 64]]),
        torch.ones(2, 2),
        torch.tensor([0, 1]),
        torch.zeros(2, 1),
    )
    predictions = DetectionPredictions(
        torch.tensor([[[30.0, 20, 40, 30], [1, 1, 9, 9]], [[0, 0, 0, 0], [0, 0, 0, 0]]]),
        torch.tensor([[0.9, 0.2], [0, 0]]),
        torch.tensor([[0, 1], [-1, -1]]),
    )
    picture = draw_detections(batch, predictions, ["cat", "dog"], side=128, columns=2)
    # Two pictures of 128 x 80 in a row, a margin of 6 and a title of 20 above each; boxes at twice their size.
    assert tuple(picture[:, 26 + 60, 6 + 30].tolist()) == class_color(1)
    assert tuple(picture[:, 26 + 60, 6 + 128 + 6 + 70].tolist()) == class_color(0)
    # An unlikely one is left out.
    assert not picture[:, 26 + 18, 6 + 128 + 6 + 2 : 6 + 128 + 6 + 18].any()
