import pytest
import torch

from visiontasks.errors import ArgumentError
from visiontasks.heads.flips import Flips, average_predictions, flip_views


@pytest.mark.parametrize(("flips", "count"), [("none", 1), ("horizontal", 2), ("vertical", 2), ("both", 4)])
def test_views_are_the_image_and_its_mirror_images(flips: Flips, count: int) -> None:
    images = torch.randint(256, (2, 3, 4, 5), dtype=torch.uint8)
    views = flip_views(images, flips)
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

        def probabilities(logits: torch.Tensor, softmax: bool = softmax) -> torch.Tensor:
            return logits.softmax(-1) if softmax else logits.sigmoid()

        found = probabilities(average_predictions(views, softmax=softmax))
        torch.testing.assert_close(found, torch.stack([probabilities(view) for view in views]).mean(0))


def test_certainty_stays_finite() -> None:
    views = [torch.tensor([[200.0, -200.0]]), torch.tensor([[300.0, -100.0]])]
    for softmax in (True, False):
        assert torch.isfinite(average_predictions(views, softmax=softmax)).all()


@pytest.mark.unchecked  # the annotation says so already
def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"test_time_flips is 'horizontl'\. Did you mean 'horizontal'"):
        flip_views(torch.zeros(1, 1, 2, 2), "horizontl")  # type: ignore[arg-type]  # wrong on purpose
