from typing import Any

import pytest
import torch
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList

from visiontasks.detection.anchors import Anchors
from visiontasks.errors import ArgumentError


@pytest.mark.parametrize(("scales", "ratios"), [((8,), (0.5, 1, 2)), ((2, 4, 7.3), (0.3, 1))])
def test_anchors_are_torchvisions(scales: tuple[float, ...], ratios: tuple[float, ...]) -> None:
    strides = (4, 8, 32)
    features = [torch.zeros(2, 5, 64 // stride, 96 // stride) for stride in strides]
    theirs = AnchorGenerator(tuple(tuple(s * stride for s in scales) for stride in strides), (ratios,) * 3)
    images = ImageList(torch.zeros(2, 3, 64, 96), [(64, 96), (60, 80)])
    anchors = Anchors(strides, scales, ratios)
    torch.testing.assert_close(anchors(features), theirs(images, features)[0], rtol=0, atol=0)
    assert anchors.per_place == theirs.num_anchors_per_location()[0]
    assert not anchors.state_dict()


def test_strides_are_exact_where_the_image_is_no_multiple_of_them() -> None:
    # 33 pixels at stride 16 are three places; 33 // 3 would make the stride 11.
    centers = Anchors((16,), (2,), (1,))([torch.zeros(1, 1, 3, 1)]).view(3, 2, 2).mean(1)
    assert centers[:, 1].tolist() == [0, 16, 32]


@pytest.mark.parametrize("arguments", [{"scales": ()}, {"scales": (8, 0)}, {"aspect_ratios": (-1,)}])
def test_sizes_that_are_none_are_an_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="expected positive numbers"):
        Anchors((4,), **arguments)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_precision_of_the_weights_moves_no_anchor(dtype: torch.dtype) -> None:
    features = [torch.zeros(1, 1, 2, 300)]
    exact = Anchors((8,))(features)
    rounded = Anchors((8,)).to(dtype)(features)
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, exact)


def test_by_default_they_are_half_as_high_as_wide_square_and_twice_as_high() -> None:
    boxes = Anchors((8,))([torch.zeros(1, 1, 1, 1)])
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    assert (height / width).tolist() == pytest.approx([0.5, 1, 2], rel=0.05)
    assert (width * height).tolist() == pytest.approx([64**2] * 3, rel=0.05)
