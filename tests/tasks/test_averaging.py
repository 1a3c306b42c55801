import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visiontasks.errors import ArgumentError
from visiontasks.tasks.averaging import Flips, average_logits, average_probabilities, check_averaging, views_of


def test_the_mirrored_prediction_is_mirrored_back() -> None:
    images = torch.randint(256, (2, 1, 7, 9), dtype=torch.uint8)

    def left(view: Tensor) -> Tensor:
        """Know what is bright, and prefer the left side of what it sees."""
        bright = view.float() / 255
        return bright + torch.linspace(1, 0, view.shape[-1])

    found = average_probabilities(left, images, flips="horizontal")
    torch.testing.assert_close(found, images.float() / 255 + 0.5)


def test_scales_are_averaged_at_the_size_of_the_image() -> None:
    images = torch.rand(2, 3, 20, 30)
    seen: list[tuple[int, ...]] = []

    def same(view: Tensor) -> Tensor:
        seen.append(tuple(view.shape[-2:]))
        return view

    found = average_probabilities(same, images, scales=(0.5, 1.0, 1.5))
    assert seen == [(10, 15), (20, 30), (30, 45)]
    small = F.interpolate(F.interpolate(images, (10, 15), mode="bilinear", antialias=True), (20, 30), mode="bilinear")
    large = F.interpolate(F.interpolate(images, (30, 45), mode="bilinear"), (20, 30), mode="bilinear")
    torch.testing.assert_close(found, (small + images + large) / 3)


def test_bytes_and_floats_are_the_same_image() -> None:
    images = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)

    def brightness(view: Tensor) -> Tensor:
        return view if view.is_floating_point() else view.float() / 255

    scales = (1.0, 0.75)
    torch.testing.assert_close(
        average_probabilities(brightness, images, scales=scales),
        average_probabilities(brightness, images.float() / 255, scales=scales),
    )


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0)])
def test_wrong_scales_are_an_error(scales: tuple[float, ...]) -> None:
    with pytest.raises(ArgumentError, match="expected positive factors"):
        check_averaging("none", scales)


@pytest.mark.parametrize(("flips", "count"), [("none", 1), ("horizontal", 2), ("vertical", 2), ("both", 4)])
def test_views_are_the_image_and_its_mirror_images(flips: Flips, count: int) -> None:
    images = torch.randint(256, (2, 3, 4, 5), dtype=torch.uint8)
    views = views_of(images, flips, shift=0)
    assert len({view.numpy().tobytes() for view in views}) == len(views) == count
    assert torch.equal(views[0], images)
    if flips in ("horizontal", "both"):
        assert any(torch.equal(view[..., 0], images[..., -1]) for view in views)
    if flips in ("vertical", "both"):
        assert any(torch.equal(view[..., 0, :], images[..., -1, :]) for view in views)


@pytest.mark.parametrize("shape", [(5, 3), (5, 2, 3)])
def test_probabilities_are_averaged(shape: tuple[int, ...]) -> None:
    views = [10 * torch.randn(shape) for _ in range(4)]
    for softmax in (True, False):

        def probabilities(logits: Tensor, softmax: bool = softmax) -> Tensor:
            return logits.softmax(-1) if softmax else logits.sigmoid()

        found = probabilities(average_logits(views, softmax=softmax))
        torch.testing.assert_close(found, torch.stack([probabilities(view) for view in views]).mean(0))


def test_certainty_stays_finite() -> None:
    views = [torch.tensor([[200.0, -200.0]]), torch.tensor([[300.0, -100.0]])]
    for softmax in (True, False):
        assert torch.isfinite(average_logits(views, softmax=softmax)).all()


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"flips is 'horizontl'\. Did you mean 'horizontal'"):
        check_averaging("horizontl")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_shifted_views_move_the_image_in_eight_directions(dtype: torch.dtype) -> None:
    images = (torch.rand(2, 3, 6, 5) * 255).to(dtype)
    views = views_of(images, "horizontal", shift=2)
    padded = F.pad(images.float(), (2, 2, 2, 2), mode="replicate").to(dtype)
    expected = [padded[..., y : y + 6, x : x + 5] for y in (2, 0, 4) for x in (2, 0, 4)]
    assert len(views) == 18
    for view, moved in zip(views[:9], expected, strict=True):
        torch.testing.assert_close(view, moved, rtol=0, atol=0)
    mirrored = views_of(images.flip(-1), "none", shift=2)
    for view, moved in zip(views[9:], mirrored, strict=True):
        torch.testing.assert_close(view, moved, rtol=0, atol=0)


def test_a_negative_shift_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="shift is -1; expected pixels"):
        check_averaging("none", shift=-1)
