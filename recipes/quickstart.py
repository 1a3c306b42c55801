"""Classify generated shapes: the whole way from data to a checkpoint, without a file or the network.

Source: generated (circles, squares, triangles and stars on textured backgrounds), 2,000 training images of 64 x 64.
Command: python recipes/quickstart.py
Hardware and time: 2 cores of an Intel Xeon at 2.8 GHz, float32, 12 epochs in 45 s (other work ran beside it).
Metric: test accuracy 98.6 % (seed 0, best of the epochs on the validation split; 500 test images, scored once).
"""

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.cli.training import run_recipe

CHOICES = {
    "data.batch_size": 64,
    "model.backbone": "cnn",
    "model.backbone_options": {"filters": [16, 32, 64, 64], "depth": 1},
    "model.pool": "max",
    "model.normalization": "dataset",
    "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 5e-3, "weight_decay": 0.05}},
    "trainer.max_epochs": 12,
    "trainer.log_every_n_steps": 10,
}

if __name__ == "__main__":
    run_recipe("quickstart", ClassificationTask, ShapesDataModule, CHOICES)
