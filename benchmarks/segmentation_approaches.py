"""The table of approaches to segmentation: accuracy, multiply-adds and time of each, on generated shapes.

Every approach is trained by the recipe's settings for the same number of epochs, on the same 1,000 images of 64 x 64,
and scored once on the same 50 test images after the last epoch.

Command: python benchmarks/segmentation_approaches.py [EPOCHS]
"""

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from common import setting
from lightning.pytorch import Trainer, seed_everything
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1] / "recipes"))

from patch_segmentation import PatchTask

from visiontasks import SegmentationTask, ShapesDataModule
from visiontasks.cli.hardware import default_precision

SMALL: dict[str, Any] = {"backbone_options": {"filters": [16, 32, 64], "depth": 1}}
NETWORK: dict[str, Any] = {"backbone_options": {"filters": [32, 64, 128]}}
APPROACHES: dict[str, tuple[type[SegmentationTask], dict[str, Any]]] = {
    "a patch of 31 x 31 around each pixel": (PatchTask, SMALL),
    "8 convolutions at full resolution": (
        SegmentationTask,
        {"backbone_options": {"filters": [32, 32, 32, 32], "pool": "none"}, "decoder": "fcn"},
    ),
    "fcn, the coarsest map alone (FCN-8)": (
        SegmentationTask,
        {**NETWORK, "decoder": "fcn", "decoder_options": {"stride": 8}},
    ),
    "fcn with skips from stride 4": (
        SegmentationTask,
        {**NETWORK, "decoder": "fcn", "decoder_options": {"stride": 4}},
    ),
    "fcn with all skips": (SegmentationTask, {**NETWORK, "decoder": "fcn", "decoder_options": {"stride": 1}}),
    "segnet": (SegmentationTask, {**NETWORK, "decoder": "segnet"}),
    "unet": (SegmentationTask, {**NETWORK, "decoder": "unet"}),
    "fpn": (
        SegmentationTask,
        {**NETWORK, "decoder": "fpn", "decoder_options": {"width": 64, "head_width": 64, "stride": 1}},
    ),
}


def measure(kind: type[SegmentationTask], options: dict[str, Any], epochs: int) -> tuple[float, ...]:
    """Train and score one approach.

    Returns:
        Mean IoU and accuracy on the test images, multiply-adds per image, seconds of training, and milliseconds per
        predicted image.
    """
    seed_everything(0, verbose=False)
    data = ShapesDataModule(
        "segmentation", train_size=1000, val_size=1, test_size=50, max_objects=2, batch_size=16, eval_batch_size=10
    )
    task = kind(5, optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3, weight_decay=0.05), **options)
    task.to(memory_format=torch.channels_last)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        precision=default_precision("cpu"),  # type: ignore[arg-type]  # one of the Trainer's
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
    )
    start = time.perf_counter()
    trainer.fit(task, datamodule=data)
    seconds = time.perf_counter() - start
    trainer.test(task, datamodule=data, verbose=False)
    scores = {name: value.item() for name, value in trainer.callback_metrics.items()}
    image = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        task.eval()(image)
    with torch.inference_mode():
        start = time.perf_counter()
        for _ in range(5):
            task(image)
        milliseconds = 200 * (time.perf_counter() - start)
    return scores["test/miou"], scores["test/accuracy"], counter.get_total_flops() / 2, seconds, milliseconds


def main(epochs: int) -> None:
    """Print the table."""
    setting()
    warnings.simplefilter("ignore")
    print("| approach | mean IoU | accuracy | multiply-adds per image | training, s | prediction, ms |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, (kind, options) in APPROACHES.items():
        miou, accuracy, operations, seconds, milliseconds = measure(kind, options, epochs)
        times = f"{seconds:.0f} | {milliseconds:.1f}"
        print(f"| {name} | {miou:.1%} | {accuracy:.1%} | {operations / 1e6:,.0f} M | {times} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
