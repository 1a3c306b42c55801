import pytest
import torch

from visiontasks.errors import ArgumentError
from visiontasks.tasks.corruption import Corruption

GREY = torch.full((8, 3, 56, 42), 0.5)


def test_gaussian_noise_has_the_deviation_asked_for() -> None:
    noise = Corruption("gaussian", 0.1)(GREY) - GREY
    assert noise.std().item() == pytest.approx(0.1, rel=0.02)
    assert abs(noise.mean().item()) < 0.002


def test_salt_and_pepper_make_a_share_of_the_pixels_black_or_white() -> None:
    spoilt = Corruption("salt_and_pepper", 0.4)(GREY)
    assert (spoilt == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert (spoilt == 1).float().mean().item() == pytest.approx(0.2, abs=0.01)
    assert torch.equal(spoilt[:, 0], spoilt[:, 1])


def test_patches_are_erased_whole() -> None:
    spoilt = Corruption("erased_patches", 0.3)(GREY)
    squares = spoilt[:, :, :54].unflatten(3, (7, 6)).unflatten(2, (9, 6))
    same = squares == squares[:, :, :, :1, :, :1]
    assert same.all()
    assert (spoilt == 0).float().mean().item() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("kind", ["gaussian", "salt_and_pepper", "erased_patches"])
def test_the_random_state_decides(kind: str) -> None:
    spoil = Corruption(kind, 0.5)  # type: ignore[arg-type]  # one of the names
    torch.manual_seed(1)
    first = spoil(GREY)
    assert not torch.equal(first, spoil(GREY))
    torch.manual_seed(1)
    assert torch.equal(first, spoil(GREY))


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 9)])
def test_images_of_any_size_are_spoilt(size: tuple[int, int]) -> None:
    for kind in ("gaussian", "salt_and_pepper", "erased_patches"):
        assert Corruption(kind, 0.5)(torch.rand(2, 1, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize("amount", [0.0, -1.0, 1.5])
def test_an_amount_out_of_range_is_named(amount: float) -> None:
    with pytest.raises(ArgumentError, match=f"noise is {amount}"):
        Corruption("gaussian", amount)
