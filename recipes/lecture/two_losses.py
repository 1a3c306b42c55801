"""Class and box: two losses in one step with a weight between them, or one after the other.

Multitask learning adds the losses, so that the network learns one set of features for both. One after the other, the
backbone learns the class, and only the head of the box is trained on its features, which stay as they are.

Command: python recipes/lecture/two_losses.py
Data: 2,000 generated images of one shape each, 500 test images; 400 steps of 32 images, for two trainings twice.
"""

import time
from functools import partial
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from short_training import parse, save, spread

from visiontasks import LocalizationTask, ShapesDataModule

STEPS = 400
WEIGHTS = (0.1, 1.0, 10.0)
FLAGS: dict[str, Any] = dict.fromkeys(
    ("logger", "enable_checkpointing", "enable_model_summary", "enable_progress_bar"), False
)


def trainer(steps: int) -> Trainer:
    """Make what trains for a number of steps, without validations."""
    return Trainer(accelerator="cpu", devices=1, max_steps=steps, max_epochs=-1, limit_val_batches=0, **FLAGS)


def train(
    together: bool,
    weight: float,
    seed: int,
    fast: bool,
) -> tuple[float, float, float]:
    """Train; return class accuracy, mean IoU of the boxes on the test images, and the processor time.

    Args:
        together: Whether both losses are in one step; else the class comes first, then the box on its features.
        weight: Of the loss of the box.
        seed: Of the weights and the order of images.
        fast: Whether a few steps are enough.
    """
    seed_everything(seed, verbose=False)
    size: dict[str, Any] = {"train_size": 32, "val_size": 8, "test_size": 8} if fast else {"val_size": 8}
    data = ShapesDataModule("localization", batch_size=32, num_workers=0, seed=seed, **size)
    make = partial(
        LocalizationTask,
        data.num_classes,
        backbone_options={"filters": [16, 32, 64, 64], "depth": 1},
        optimizer=partial(torch.optim.AdamW, lr=5e-3, weight_decay=0.05),
    )
    steps, start = 4 if fast else STEPS, time.process_time()
    task = make(box_weight=weight) if together else make(box_weight=0.0)
    trainer(steps).fit(task, datamodule=data)
    if not together:
        second = make(box_weight=1.0, classification_weight=0.0, freeze="all")
        second.load_state_dict(task.state_dict())
        trainer(steps).fit(second, datamodule=data)
        boxes, classes = second, task
    else:
        boxes = classes = task
    seconds = time.process_time() - start
    figures = [trainer(0).test(one, datamodule=data, verbose=False)[0] for one in (classes, boxes)]
    return 100 * figures[0]["test/accuracy"], figures[1]["test/mean_iou"], seconds


def main() -> None:
    """Train with each weight, and one after the other."""
    options = parse(__doc__, digits=False)
    ways = [(f"together, box weighs {weight:g}", True, weight) for weight in WEIGHTS]
    rows = []
    for name, together, weight in [*ways, ("class first, then the box on its features", False, 1.0)]:
        runs = [train(together, weight, seed, options.fast) for seed in options.seeds]
        accuracies, overlaps, seconds = zip(*runs, strict=True)
        rows.append([name, spread(accuracies), spread(overlaps, 3), spread(seconds, 0)])
    columns = ["losses", "class, %", "mean IoU of the box", "processor seconds"]
    save(options, __file__, [{"title": "Generated shapes", "columns": columns, "rows": rows}])


if __name__ == "__main__":
    main()
