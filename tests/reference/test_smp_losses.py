"""Losses of pixels against those of segmentation_models.pytorch, where it is installed."""

import pytest
import torch

from visiontasks.losses.cross_entropy import pixel_binary_focal
from visiontasks.losses.dice import binary_dice_loss, dice_loss
from visiontasks.losses.lovasz import lovasz_softmax

smp = pytest.importorskip("segmentation_models_pytorch")


def test_multiclass() -> None:
    logits = torch.randn(2, 4, 24, 31)
    masks = torch.randint(0, 4, (2, 24, 31), dtype=torch.uint8)
    masks[0, :3] = 255
    target = masks.long()
    assert dice_loss(logits, masks).item() == pytest.approx(
        smp.losses.DiceLoss("multiclass", ignore_index=255)(logits, target).item(), abs=1e-6
    )
    assert lovasz_softmax(logits, masks).item() == pytest.approx(
        smp.losses.LovaszLoss("multiclass", ignore_index=255)(logits, target).item(), abs=1e-4
    )


def test_multilabel() -> None:
    logits = torch.randn(2, 3, 24, 31)
    masks = torch.randint(0, 2, (2, 3, 24, 31), dtype=torch.uint8)
    target = masks.float()
    assert binary_dice_loss(logits, masks).item() == pytest.approx(
        smp.losses.DiceLoss("multilabel")(logits, target).item(), abs=1e-6
    )
    assert pixel_binary_focal(logits, masks, None, 2.0).item() == pytest.approx(
        smp.losses.FocalLoss("multilabel", gamma=2.0)(logits, target).item(), rel=1e-5
    )
