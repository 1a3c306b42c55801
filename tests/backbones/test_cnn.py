import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from visiontasks.backbones import CNN
from visiontasks.backbones.cnn import Pool, make_pool
from visiontasks.backbones.locally_connected import LocallyConnected2d
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_backbone

VARIANTS: list[tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = [
    ({}, (32, 64, 128, 128), (1, 2, 4, 8)),
    ({"filters": (8, 16), "depth": 1, "norm": "none"}, (8, 16, 16), (1, 2, 4)),
    ({"filters": [8], "depth": 3, "norm": "group"}, (8, 8), (1, 2)),
    ({"filters": (4, 6), "depth": (1, 3)}, (4, 6, 6), (1, 2, 4)),
    ({"filters": (4, 6), "stride": (2, 1), "kernel_size": (7, 3)}, (4, 6, 6), (2, 4, 8)),
    ({"filters": (4, 6), "pool_size": 4, "pool": "average", "norm": "instance"}, (4, 6, 6), (1, 4, 16)),
    ({"filters": (4, 6, 8), "stride": 2, "pool": "none"}, (4, 6, 8), (2, 4, 8)),
    ({"filters": (4, 4), "pool": "none"}, (4, 4), (1, 1)),
    ({"filters": (4, 6), "kernel_size": 5, "padding": 0, "activation": "silu"}, (4, 6, 6), (1, 2, 4)),
]


@pytest.mark.parametrize(("options", "channels", "strides"), VARIANTS, ids=lambda value: str(value))
def test_variants_keep_the_contract(
    options: dict[str, Any], channels: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    backbone = CNN(**options)
    assert (backbone.channels, backbone.strides) == (channels, strides)
    check_backbone(backbone, sizes=((32, 32), (29, 43)))


@pytest.mark.parametrize("in_channels", [1, 2, 5])
def test_images_may_have_any_number_of_channels(in_channels: int) -> None:
    check_backbone(CNN(in_channels, filters=(4, 8), depth=1), in_channels, sizes=((17, 30),))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (9, 5)])
def test_small_images_keep_the_contract(size: tuple[int, int]) -> None:
    check_backbone(CNN(filters=(4, 8), depth=1, norm="none", pool_size=4), sizes=(size,))


def test_a_stage_has_as_many_blocks_as_asked_for() -> None:
    assert [len(list(stage.children())) for stage in CNN(filters=(4, 6, 8), depth=(1, 3, 2)).stages] == [1, 3, 2]
    assert [len(list(stage.children())) for stage in CNN(filters=(4, 6), depth=3).stages] == [3, 3]


def test_a_stack_is_what_plain_layers_compute() -> None:
    backbone = CNN(3, filters=(4, 6), depth=2, kernel_size=(5, 3), stride=(2, 1), norm="batch").eval()
    plain: list[nn.Module] = []
    for inputs, outputs, kernel, stride in ((3, 4, 5, 2), (4, 4, 5, 1), (4, 6, 3, 1), (6, 6, 3, 1)):
        plain += [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    for norm in plain[1::2]:
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        nn.init.normal_(norm.weight)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    weights = nn.ModuleList(plain).state_dict().values()
    backbone.load_state_dict(dict(zip(backbone.state_dict(), weights, strict=True)))
    nn.ModuleList(plain).eval()

    images = torch.randn(2, 3, 22, 31)
    x, expected = images, []
    for stage in range(2):
        for block in range(2):
            conv, norm = plain[4 * stage + 2 * block : 4 * stage + 2 * block + 2]
            x = F.relu(norm(conv(x)))
        expected.append(x)
        x = pool_in_loops(x, 2, "max")
    for feature, reference in zip(backbone(images), [*expected, x], strict=True):
        torch.testing.assert_close(feature, reference)


def pool_in_loops(x: Tensor, size: int, pool: Pool) -> Tensor:
    """Reduce each window to its pixels inside the image, be they few."""
    rows = []
    for top in range(0, x.shape[2], size):
        windows = [x[:, :, top : top + size, left : left + size] for left in range(0, x.shape[3], size)]
        rows.append([window.amax((2, 3)) if pool == "max" else window.mean((2, 3)) for window in windows])
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


@pytest.mark.parametrize("pool", ["max", "average"])
@pytest.mark.parametrize("pool_size", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (8, 8), (7, 9), (5, 3)])
def test_pooling_keeps_what_does_not_fill_a_window(pool: Pool, pool_size: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size)
    torch.testing.assert_close(make_pool(pool, pool_size)(x), pool_in_loops(x, pool_size, pool))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": ()}, "filters is [] and depth 2; expected at least one stage"),
        ({"filters": (8, 0)}, "filters is [8, 0]"),
        ({"depth": 0}, "depth 0"),
        ({"pool_size": 3}, "pool_size is 3; expected 2 or 4"),
        ({"stride": 3}, "stride is 3; expected a power of two"),
        ({"stride": 0}, "stride is 0; expected a power of two"),
        ({"kernel_size": (3, 3)}, "kernel_size has 2 values for 3 stages"),
        ({"stride": (2, 1, 1, 1)}, "stride has 4 values for 3 stages"),
        ({"depth": (2, 1)}, "depth has 2 values for 3 stages"),
        ({"depth": (2, 0, 1)}, "depth (2, 0, 1); expected at least one"),
        ({"kernel_size": 2}, "kernel_size is 2; expected an odd number"),
        ({"padding": 2}, "padding is 2; expected 0 to 1"),
    ],
)
def test_an_argument_that_cannot_work_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        CNN(**options)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("options", "message"),
    [({"norm": "layer"}, "norm is 'layer'; expected"), ({"pool": "mean"}, "pool is 'mean'; expected 'max', 'average'")],
)
def test_an_unknown_name_is_answered_with_the_known_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        CNN(**options)


def test_locally_connected_stages_have_filters_of_every_place() -> None:
    backbone = CNN(2, filters=(4, 6), depth=(2, 1), layer=["convolution", "locally_connected"], input_size=(9, 6))
    features = backbone(torch.rand(3, 2, 9, 6))
    assert [tuple(feature.shape[1:]) for feature in features] == [(4, 9, 6), (6, 5, 3), (6, 3, 2)]
    layer = next(module for module in backbone.modules() if isinstance(module, LocallyConnected2d))
    assert sum(parameter.numel() for parameter in layer.parameters()) >= 5 * 3 * 4 * 6 * 9
    with pytest.raises(ArgumentError, match="input_size None"):
        CNN(layer="locally_connected")
