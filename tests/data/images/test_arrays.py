"""Resizing of arrays; torchvision is the reference."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from visiontasks.data.images.arrays import resize


@pytest.mark.parametrize("size", [(64, 64), (64, 500), (64, 900), (900, 64), (240, 200), (400, 300), (900, 900)])
def test_resizing_is_as_by_torchvision_with_antialiasing_along_each_side(size: tuple[int, int]) -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    image = cv2.resize(coarse, (500, 600), interpolation=cv2.INTER_CUBIC)
    expected = F.resize(torch.from_numpy(image).permute(2, 0, 1), list(size), antialias=True).permute(1, 2, 0)
    # Areas are averaged here, there by a triangle: on smooth images these differ by a few of the 256 levels.
    difference = np.abs(resize(image, size).astype(int) - expected.numpy())
    assert difference.mean() < 1
    assert difference.max() <= 5


@pytest.mark.parametrize("shape", [(2000, 40), (2000, 64), (2000, 100), (2000, 500)])
def test_stripes_become_grey_along_the_side_that_shrinks(shape: tuple[int, int]) -> None:
    stripes = np.zeros((*shape, 3), np.uint8)
    stripes[::2] = 255
    for image in (stripes, stripes.transpose(1, 0, 2)):
        assert resize(image, (64, 64)).std() < 3
