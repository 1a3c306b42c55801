"""Outline generated shapes one by one, also where they cover each other: Mask R-CNN from random weights.

Source: generated (circles, squares, triangles and stars on textured backgrounds), 800 training images of 64 x 64.
Command: python recipes/shapes_instances.py
Hardware and time: an Intel Xeon with bf16 arithmetic; 8 epochs take 329 s of CPU time (beside other work).
Metric: test mask AP 0.677, AP50 0.996, box AP 0.843 (seed 0, best epoch on the validation split, scored once).
"""

from visiontasks import InstanceSegmentationTask, ShapesDataModule
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.task": "instances",
    "data.train_size": 800,
    "data.val_size": 100,
    "data.test_size": 200,
    "data.batch_size": 8,
    "model.backbone": "cnn",
    # Narrow layers and few regions: an image has at most a handful of shapes.
    "model.fpn_width": 64,
    "model.head_width": 256,
    "model.mask_widths": [64, 64],
    "model.box_batch_size_per_image": 64,
    "model.rpn_pre_nms_top_n": [300, 300],
    "model.rpn_post_nms_top_n": [150, 100],
    "model.anchor_scales": [4.0],
    "model.normalization": "dataset",
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 2e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 8,
}

if __name__ == "__main__":
    run_recipe("shapes_instances", InstanceSegmentationTask, ShapesDataModule, CHOICES)
