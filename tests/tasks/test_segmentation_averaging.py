"""Averaged views of pixels that the network is certain of."""

from typing import Any

import pytest
import torch
from torch import Tensor

from visiontasks import SegmentationBatch, SegmentationTask
from visiontasks.losses.classification import Mode


class Certain(SegmentationTask):
    """Its probabilities are 0 and 1 in float32: the last class on the bright half of an image."""

    def forward(self, images: Tensor) -> Tensor:
        bright = 1e4 * (images[:, :1].float() / 255 - 0.5)
        return bright if self.mode == "binary" else torch.cat([-bright, bright], 1)


@pytest.mark.parametrize("mode", ["multiclass", "binary", "multilabel"])
def test_probabilities_of_0_and_1_are_averaged_to_finite_logits(mode: Mode) -> None:
    options: dict[str, Any] = {"backbone_options": {"filters": [4], "depth": 1}}
    task = Certain(2, mode=mode, test_time_flips="horizontal", **options).eval()
    images = torch.zeros(2, 3, 6, 8, dtype=torch.uint8)
    images[:, :, :3] = 255
    outputs = task.eval_forward(images)
    assert isinstance(outputs, Tensor)
    assert outputs.isfinite().all()
    assert (outputs.abs() == 100).any()
    masks = torch.zeros(2, *((2,) if mode == "multilabel" else ()), 6, 8, dtype=torch.uint8)
    batch = SegmentationBatch(images, masks, torch.tensor([[6, 8]] * 2), torch.ones(2, 2), torch.arange(2))
    assert all(term.isfinite() for term in task.losses(outputs, batch).values())
