import torch

from visiontasks.types import ClassificationBatch, DetectionBatch, SegmentationBatch
from visiontasks.visualization import (
    class_color,
    draw_sample,
)


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
    assert picture.shape == (3, 80, 120)  # without the padding
    for x, y in ((20, 50), (40, 50), (30, 60), (38, 40)):
        assert tuple(picture[:, y, x].tolist()) == class_color(1)
    assert picture[:, 50, 30].tolist() == [0, 0, 0]


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
