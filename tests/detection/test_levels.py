import pytest
import torch

from visiontasks import create_backbone
from visiontasks.detection.levels import only_level, pyramid_levels


@pytest.mark.parametrize(
    ("strides", "finest", "expected"),
    [
        ((1, 2, 4, 8, 16, 32), 4, [2, 3, 4, 5]),
        ((4, 8, 8, 16, 16), 4, [0, 2, 4]),  # the last of each stride
        ((2, 4, 8), 8, [2]),
        ((1, 2), 4, [1]),  # none is that coarse
    ],
)
def test_a_pyramid_has_one_map_of_each_stride(strides: tuple[int, ...], finest: int, expected: list[int]) -> None:
    assert pyramid_levels(strides, finest) == expected


def test_stages_after_the_only_map_are_not_trained() -> None:
    backbone = create_backbone("resnet18")
    level = only_level(backbone)
    assert backbone.strides[level] == 16
    backbone(torch.rand(2, 3, 64, 64))[level].sum().backward()
    trained = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
    assert len(trained) < len([*backbone.parameters()])
    assert all(parameter.grad is not None for parameter in trained)
    assert only_level(create_backbone("resnet18"), most=1) == 0
