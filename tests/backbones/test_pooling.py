import pytest
import torch
from torch import nn

from visiontasks.backbones.pooling import MaxPool


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 2), (3, 2), (4, 4), (3, 1)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 8), (8, 9), (12, 13)])
def test_each_output_is_the_maximum_of_its_window_inside_the_image(
    kernel_size: int, stride: int, size: tuple[int, int]
) -> None:
    image = torch.randn(2, 3, *size) - 5
    pooled = MaxPool(kernel_size, stride)(image)
    assert pooled.shape[2:] == (-(-size[0] // stride), -(-size[1] // stride))
    for i in range(pooled.shape[2]):
        for j in range(pooled.shape[3]):
            rows, columns = slice(i * stride, i * stride + kernel_size), slice(j * stride, j * stride + kernel_size)
            torch.testing.assert_close(pooled[:, :, i, j], image[:, :, rows, columns].amax((2, 3)), rtol=0, atol=0)


def test_the_default_stride_is_the_window() -> None:
    image = torch.randn(1, 2, 8, 6)
    torch.testing.assert_close(MaxPool(2)(image), nn.MaxPool2d(2)(image), rtol=0, atol=0)
    assert str(MaxPool(3, 2)) == "MaxPool(kernel_size=3, stride=2)"
