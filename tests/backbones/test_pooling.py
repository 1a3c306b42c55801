import pytest
import torch
from torch import nn

from visiontasks.backbones.pooling import AveragePool, MaxPool


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


@pytest.mark.parametrize("kernel_size", [2, 4])
@pytest.mark.parametrize("size", [(1, 1), (7, 8), (12, 13)])
def test_each_output_is_the_average_of_its_window_inside_the_image(kernel_size: int, size: tuple[int, int]) -> None:
    image = torch.randn(2, 3, *size)
    pooled = AveragePool(kernel_size)(image)
    assert pooled.shape[2:] == (-(-size[0] // kernel_size), -(-size[1] // kernel_size))
    for i, rows in enumerate(image.split(kernel_size, 2)):
        for j, window in enumerate(rows.split(kernel_size, 3)):
            torch.testing.assert_close(pooled[:, :, i, j], window.mean((2, 3)))


@pytest.mark.unchecked
@pytest.mark.parametrize("pool", [AveragePool(2), AveragePool(4), MaxPool(2), MaxPool(3, 2)])
def test_pooling_exports_at_any_size(pool: nn.Module) -> None:
    sizes = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(pool, (torch.randn(2, 3, 16, 24),), dynamic_shapes=(sizes,)).module()
    for size in [(16, 24), (9, 31), (8, 10)]:
        image = torch.randn(3, 3, *size)
        torch.testing.assert_close(program(image), pool(image))
