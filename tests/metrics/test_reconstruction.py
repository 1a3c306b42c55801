import pytest
import torch
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure
from torchmetrics.regression import MeanSquaredError

from visiontasks.metrics.reconstruction import ReconstructionQuality


@pytest.mark.parametrize("channels", [1, 3])
def test_the_figures_are_those_of_torchmetrics(channels: int) -> None:
    ours, references = (
        ReconstructionQuality(),
        {
            "mse": MeanSquaredError(),
            "psnr": PeakSignalNoiseRatio(data_range=1.0),
            "ssim": StructuralSimilarityIndexMeasure(data_range=1.0),
        },
    )
    for count in (3, 1, 5):
        images, target = torch.rand(count, channels, 24, 31), torch.rand(count, channels, 24, 31)
        ours.update(images, target)
        for reference in references.values():
            reference.update(images, target)
    found = ours.compute()
    for name, reference in references.items():
        torch.testing.assert_close(found[name], reference.compute(), rtol=1e-4, atol=1e-5)


def test_padding_does_not_count() -> None:
    images, target = torch.rand(1, 1, 20, 20), torch.rand(1, 1, 20, 20)
    alone, padded = ReconstructionQuality(), ReconstructionQuality()
    alone.update(images[..., :15, :12], target[..., :15, :12])
    padded.update(images, target, torch.tensor([[15, 12]]))
    for name, value in alone.compute().items():
        torch.testing.assert_close(padded.compute()[name], value)


def test_half_precision_is_computed_in_float32() -> None:
    images, target = torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16)
    plain, autocast = ReconstructionQuality(), ReconstructionQuality()
    plain.update(images, target)
    with torch.autocast("cpu", torch.bfloat16):
        autocast.update(images, target)
    assert plain.compute() == autocast.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_images_there_is_no_figure() -> None:
    assert all(value.isnan() for value in ReconstructionQuality().compute().values())
