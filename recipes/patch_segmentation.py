"""Segment generated shapes by classifying the patch around every pixel, as was done before FCN.

A baseline to be measured, not to be used: neighbouring patches share nearly all of their pixels, but none of the
computation. benchmarks/segmentation_approaches.py prints the table of this and the other approaches.

Source: Ciresan et al., Deep neural networks segment neuronal membranes (NIPS 2012), with the classes of the shapes.
Command: python recipes/patch_segmentation.py
Hardware and time: one core of an AMD EPYC with bf16 arithmetic, other work beside it; 30 epochs in 449 s.
Metric: test mean IoU 0.597, accuracy 0.948 (seed 0, last epoch, by benchmarks/segmentation_approaches.py).
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from visiontasks import SegmentationBatch, SegmentationTask, ShapesDataModule
from visiontasks.cli.training import run_recipe
from visiontasks.heads.classification import ClassificationHead


class PatchTask(SegmentationTask):
    """Classifies the middle pixel of a patch, for every pixel of an image.

    Args:
        num_classes: Values that a pixel can have.
        patch: Side of the patches in pixels, odd.
        train_step: Distance in pixels, along both sides, between the pixels classified in training; evaluation
            classifies all pixels.
        **kwargs: Arguments of :class:`~visiontasks.SegmentationTask`.
    """

    def __init__(self, num_classes: int, patch: int = 31, train_step: int = 8, **kwargs: Any) -> None:  # noqa: ANN401 (see Args)
        super().__init__(num_classes, **kwargs)
        self.patch = patch
        self.train_step = train_step
        del self.decoder
        self.head = ClassificationHead(self.backbone.channels, num_classes, pool_size=2)

    @property
    def step(self) -> int:
        """Distance between two patches in pixels."""
        return self.train_step if self.training else 1

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits of every ``step``-th pixel, one row of patches after the other."""
        margin = self.patch // 2
        padded = F.pad(self.normalize(images), (margin, margin, margin, margin), mode="reflect")
        rows = []
        for top in range(self.step // 2, images.shape[-2], self.step):
            strip = padded[..., top : top + self.patch, self.step // 2 :]
            patches = strip.unfold(3, self.patch, self.step).permute(0, 3, 1, 2, 4)
            logits = self.head(self.backbone(patches.flatten(0, 1).contiguous(memory_format=torch.channels_last)))
            rows.append(logits.view(len(images), -1, logits.shape[1]))
        return torch.stack(rows, 1).permute(0, 3, 1, 2).float()

    def losses(self, outputs: Any, batch: SegmentationBatch) -> dict[str, Tensor]:  # noqa: ANN401 (see SegmentationTask)
        """Compute the loss of the pixels that were classified."""
        first, step = self.step // 2, self.step
        return super().losses(outputs, batch._replace(masks=batch.masks[:, first::step, first::step]))


CHOICES = {
    "data.task": "segmentation",
    "data.train_size": 1000,
    "data.val_size": 50,
    "data.test_size": 50,
    "data.max_objects": 2,
    "data.batch_size": 16,
    "data.eval_batch_size": 5,
    "model.backbone": "cnn",
    "model.backbone_options": {"filters": [16, 32, 64], "depth": 1},
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 30,
    "trainer.check_val_every_n_epoch": 5,
}

if __name__ == "__main__":
    run_recipe("patch_segmentation", PatchTask, ShapesDataModule, CHOICES)
