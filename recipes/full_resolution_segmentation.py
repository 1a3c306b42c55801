"""Segment generated shapes by a stack of convolutions at full resolution: nothing is pooled, and nothing enlarged.

A baseline to be measured, not to be used: every layer computes at every pixel, and enlarges the receptive field by only
two pixels. benchmarks/segmentation_approaches.py prints the table of this and the other approaches.

Source: generated shapes, 1,000 training images of 64 x 64.
Command: python recipes/full_resolution_segmentation.py
Hardware and time: one core of an AMD EPYC with bf16 arithmetic, other work beside it; 30 epochs in 401 s.
Metric: test mean IoU 0.379, accuracy 0.905 (seed 0, last epoch, by benchmarks/segmentation_approaches.py).
"""

from visiontasks import SegmentationTask, ShapesDataModule
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.task": "segmentation",
    "data.train_size": 1000,
    "data.val_size": 50,
    "data.test_size": 50,
    "data.max_objects": 2,
    "data.batch_size": 16,
    "model.backbone": "cnn",
    "model.backbone_options": {"filters": [32, 32, 32, 32], "depth": 2, "pool": "none"},
    # All feature maps have the image's size, so this takes the last one and applies a 1x1 convolution.
    "model.decoder": "fcn",
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 30,
}

if __name__ == "__main__":
    run_recipe("full_resolution_segmentation", SegmentationTask, ShapesDataModule, CHOICES)
