"""One batch of shapes is learnt by heart, with every decoder on backbones of every family, at even and odd sizes."""

from typing import Any

import pytest
import torch

from visiontasks import SegmentationBatch, SegmentationTask
from visiontasks.data.datasets.shapes import ShapesDataset

OPTIONS: dict[str, dict[str, Any]] = {
    "unet": {},
    "fcn": {"stride": 1},
    "segnet": {},
    "fpn": {"stride": 1, "width": 64, "head_width": 64, "norm": "batch"},
}
QUICK = [("cnn", decoder) for decoder in OPTIONS]
FAMILIES = (
    *("cnn", "alexnet", "vgg11-bn", "resnet18", "resnet18-small", "resnet50"),
    *("googlenet", "googlenet-small", "googlenet-torchvision", "inception_v3"),
)
PAIRS = [
    (backbone, decoder) if (backbone, decoder) in QUICK else pytest.param(backbone, decoder, marks=pytest.mark.slow)
    for backbone in FAMILIES
    for decoder in OPTIONS
]


def shapes(count: int, size: tuple[int, int]) -> SegmentationBatch:
    dataset = ShapesDataset(count, image_size=size, max_objects=2)
    samples = [dataset[index] for index in range(count)]
    images, masks = (torch.stack(fields) for fields in zip(*((s.image, s.mask) for s in samples), strict=True))
    return SegmentationBatch(images, masks, torch.tensor([size] * count), torch.ones(count, 2), torch.arange(count))


@pytest.mark.parametrize("size", [(32, 48), (37, 45)])
@pytest.mark.parametrize(("backbone", "decoder"), PAIRS)
def test_one_batch_is_learnt_by_heart(backbone: str, decoder: str, size: tuple[int, int]) -> None:
    options = {"filters": [16, 32, 64], "depth": 1} if backbone == "cnn" else {}
    task = SegmentationTask(
        5, backbone=backbone, backbone_options=options, decoder=decoder, decoder_options=OPTIONS[decoder]
    )
    batch = shapes(2, size)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2 if backbone == "cnn" else 2e-3)
    accuracy = 0.0
    for step in range(1, 601):
        outputs = task.train()(batch.images)
        (loss,) = task.losses(outputs, batch).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            accuracy = (task.predict(outputs).labels == batch.masks).float().mean().item()
            if accuracy >= 0.99:
                return
    assert accuracy >= 0.99
