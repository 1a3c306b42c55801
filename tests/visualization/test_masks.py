"""Classes of pixels in colour."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from visiontasks.data.images.mask_reading import read_mask
from visiontasks.types import SegmentationBatch, SegmentationPredictions
from visiontasks.visualization import class_color, draw_segmentation, index_image, overlay, voc_color_map
from visiontasks.visualization.colors import IGNORED_COLOR
from visiontasks.visualization.masks import legend_of

PUBLISHED = {
    **{0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 5: (128, 0, 128)},
    **{
        6: (0, 128, 128),
        7: (128, 128, 128),
        8: (64, 0, 0),
        15: (192, 128, 128),
        20: (0, 64, 128),
        255: (224, 224, 192),
    },
}


def test_the_colour_map_is_that_of_the_devkit() -> None:
    colors = voc_color_map()
    assert {index: tuple(colors[index].tolist()) for index in PUBLISHED} == PUBLISHED
    assert len({tuple(color) for color in colors.tolist()}) == 256


def test_it_is_the_palette_of_voc_s_own_masks(data_root: Path) -> None:
    file = next((data_root / "voc_sample").rglob("SegmentationClass/*.png"))
    with Image.open(file) as mask:
        palette = mask.getpalette()
    assert palette is not None
    assert np.array_equal(np.array(palette).reshape(-1, 3)[:21], voc_color_map()[:21])


def test_an_index_image_reads_as_the_mask_that_it_was_made_of(tmp_path: Path) -> None:
    labels = torch.randint(256, (9, 13), dtype=torch.uint8)
    index_image(labels).save(tmp_path / "x.png")
    assert np.array_equal(read_mask(tmp_path / "x.png"), labels.numpy())


def test_an_overlay_leaves_the_background_as_it_is() -> None:
    image = torch.full((3, 4, 6), 100, dtype=torch.uint8)
    labels = torch.tensor([[0] * 3 + [1] * 3] * 4, dtype=torch.uint8)
    picture = overlay(image, labels, ["background", "cat"], legend=False)
    assert (picture[:, :, :3] == 100).all()
    expected = torch.tensor([(100 + value) // 2 for value in class_color(1)])
    assert (picture[:, 0, 5].int() - expected).abs().max() <= 1
    plain = overlay(image, labels, ["sky", "cat"], legend=False)
    assert (plain[:, :, :3] != 100).any()


def test_of_several_classes_the_last_one_is_shown() -> None:
    image = torch.zeros(3, 1, 4, dtype=torch.uint8)
    layers = torch.tensor([[[1, 1, 0, 0]], [[0, 1, 1, 0]]], dtype=torch.uint8)
    one = torch.tensor([[0, 1, 1, 255]], dtype=torch.uint8)
    assert torch.equal(overlay(image, layers, ["a", "b"], legend=False), overlay(image, one, ["a", "b"], legend=False))


def test_images_masks_and_predictions_are_drawn_side_by_side_without_their_padding() -> None:
    masks = torch.zeros(2, 128, 160, dtype=torch.uint8)
    masks[1] = 255
    sizes = torch.tensor([[128, 128], [128, 160]])
    images = torch.full((2, 3, 128, 160), 100, dtype=torch.uint8)
    batch = SegmentationBatch(images, masks, sizes, torch.ones(2, 2), torch.arange(2))
    labels = torch.zeros(2, 128, 160, dtype=torch.uint8)
    labels[0, :, 128:] = 2  # what is predicted of the padding
    labels[1, :64] = 1
    picture = draw_segmentation(batch, SegmentationPredictions(labels, torch.ones(2, 128, 160)), ["a", "b", "c", "d"])
    # Below the tiles, which are as wide as the widest image, the legend is one line.
    assert picture.shape == (3, 2 * (128 + 26) + 6 + 25, 3 * (160 + 6) + 6)
    halves = {label: (torch.tensor(class_color(label)) + 100) // 2 for label in (0, 1)}
    for column, label in ((1, 0), (2, 0)):
        left = 6 + 166 * column
        assert (picture[:, 26 : 26 + 128, left : left + 128].int() - halves[label][:, None, None]).abs().max() <= 1
        assert (picture[:, 26 : 26 + 128, left + 128 : left + 166] == 255).all()  # paper
    assert (picture[:, 180 : 180 + 64, 6 + 332 : 6 + 332 + 160].int() - halves[1][:, None, None]).abs().max() <= 1
    # Named are the classes that occur, and ignored pixels.
    below = {tuple(color) for color in picture[:, 2 * 154 + 6 :].flatten(1).T.tolist()}
    assert {class_color(0), class_color(1), IGNORED_COLOR} <= below
    assert not {class_color(2), class_color(3)} & below


def test_a_background_is_not_in_the_legend() -> None:
    names = ["background", "cat", "dog"]
    assert legend_of([0, 2, 255], names) == [("dog", class_color(2)), ("ignored", IGNORED_COLOR)]
