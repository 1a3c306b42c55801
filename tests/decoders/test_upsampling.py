import pytest
import torch
import torch.nn.functional as F

from visiontasks.decoders.upsampling import BilinearTranspose, Upsample, enlarge
from visiontasks.errors import ArgumentError


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_transpose_convolution_starts_as_bilinear_interpolation(factor: int) -> None:
    x = torch.randn(2, 3, 5, 7)
    found = BilinearTranspose(3, factor)(x)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear")
    assert found.shape == expected.shape
    inside = slice(factor // 2, -(factor // 2))
    torch.testing.assert_close(found[..., inside, inside], expected[..., inside, inside])


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest", "transpose"])
def test_upsampling_enlarges(upsampling: str) -> None:
    x = torch.randn(1, 4, 3, 5)
    assert Upsample(4, 2, upsampling)(x).shape == (1, 4, 6, 10)  # type: ignore[arg-type]  # one of the three
    assert torch.equal(Upsample(4, 1, upsampling)(x), x)  # type: ignore[arg-type]  # see above


@pytest.mark.unchecked
def test_unknown_upsampling_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"upsampling is 'bilinar'\. Did you mean 'bilinear'"):
        Upsample(4, 2, "bilinar")  # type: ignore[arg-type]  # on purpose


def test_a_constant_stays_constant_up_to_the_cropped_border() -> None:
    assert torch.equal(enlarge(torch.ones(1, 2, 3, 3), 4, (9, 11)), torch.ones(1, 2, 9, 11))
