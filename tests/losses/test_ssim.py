import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from tests.pretended_gpu import GPU, pretended_gpu
from visiontasks.losses.ssim import structural_similarity


@pytest.mark.parametrize(("channels", "size"), [(1, (28, 28)), (3, (33, 20)), (5, (11, 40))])
def test_it_is_that_of_torchmetrics(channels: int, size: tuple[int, int]) -> None:
    images = torch.rand(4, channels, *size)
    target = (images + 0.2 * torch.randn_like(images)).clamp(0, 1)
    reference = structural_similarity_index_measure(images, target, reduction="none", data_range=1.0)
    torch.testing.assert_close(structural_similarity(images, target), reference, rtol=1e-4, atol=1e-5)


def test_on_a_gpu_it_does_not_depend_on_the_precision_of_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    images, target = torch.rand(2, 3, 33, 20), torch.rand(2, 3, 33, 20)
    expected = structural_similarity(images, target)
    monkeypatch.delattr(torch.nn.functional, "conv2d")
    with pretended_gpu():
        found = structural_similarity(images.to(GPU), target.to(GPU)).cpu()
    torch.testing.assert_close(found, expected)


def test_padding_does_not_count() -> None:
    images, target = torch.rand(2, 3, 24, 30), torch.rand(2, 3, 24, 30)
    sizes = torch.tensor([[24, 30], [17, 13]])
    found = structural_similarity(images, target, sizes)
    for index, (height, width) in enumerate(sizes.tolist()):
        alone = (tensor[index : index + 1, :, :height, :width] for tensor in (images, target))
        torch.testing.assert_close(found[index : index + 1], structural_similarity(*alone))


@pytest.mark.parametrize("size", [(1, 1), (4, 9), (10, 3)])
def test_images_smaller_than_a_window_have_one(size: tuple[int, int]) -> None:
    image = torch.rand(2, 1, *size)
    torch.testing.assert_close(structural_similarity(image, image), torch.ones(2))
    assert (structural_similarity(image, (image + 0.5) % 1) < 0.99).all()


def test_it_has_a_gradient_towards_the_target() -> None:
    target = torch.rand(1, 1, 16, 16)
    image = torch.full_like(target, 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([image], lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        (1 - structural_similarity(image, target)).mean().backward()
        optimizer.step()
    assert structural_similarity(image, target) > 0.9
