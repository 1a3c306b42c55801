"""Overfit training images of COCO: AP50 on the same images that a detector was trained on.

A detector that cannot overfit has an error in its anchors, matching, losses or metrics. The first images of the file
are used, with all 80 classes and without augmentation. Only the figure of the last epoch is printed.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/coco_overfit.py [--images 16] [--epochs 150]   (FOLDER holds coco)
"""

import argparse
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from common import data_root, setting
from lightning.pytorch import Trainer, seed_everything

from visiontasks import COCODataModule, DetectionTask
from visiontasks.cli.quiet import quiet

TARGET = 0.9


def first_images(file: Path, count: int, output: Path) -> None:
    """Write the first images of an annotation file, and their objects, into another."""
    content = json.loads(file.read_text())
    content["images"] = content["images"][:count]
    kept = {image["id"] for image in content["images"]}
    content["annotations"] = [found for found in content["annotations"] if found["image_id"] in kept]
    output.write_text(json.dumps(content))


def main() -> int:
    """Train, and score the images trained on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--image_size", type=int, nargs=2, default=[384, 512], help="bounds of the sides")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    root = data_root("coco") / "coco"
    setting()
    quiet()
    seed_everything(options.seed, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chosen.json"
        first_images(root / "annotations" / "instances_train2017.json", options.images, file)
        data = COCODataModule(
            folder,
            train=file.name,
            val=file.name,
            images=str((root / "train2017").resolve()),
            image_size=tuple(options.image_size),
            batch_size=options.batch_size,
            augmentation="none",
            cache=True,
            num_workers=0,
        )
        task = DetectionTask(
            data.num_classes,
            backbone="resnet18",
            anchor_scales=[4.0],
            optimizer=partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.0),
        )
        trainer = Trainer(
            max_epochs=options.epochs,
            check_val_every_n_epoch=max(1, options.epochs // 5),
            gradient_clip_val=10.0,
            precision="bf16-mixed",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        start = time.process_time()
        trainer.fit(task, data)
        seconds = time.process_time() - start
        trainer.validate(task, data, verbose=False)
    found = {name.removeprefix("val/"): value.item() for name, value in trainer.callback_metrics.items()}
    names = ("loss", "map", "map_50", "map_small", "map_medium", "map_large")
    print({name: round(found[name], 4) for name in names})
    met = found["map_50"] >= TARGET
    print(
        f"{options.images} images, {options.epochs} epochs, {seconds:.0f} s of CPU time: AP50 {found['map_50']:.3f}, "
        f"target {TARGET}: {'met' if met else 'NOT MET'}"
    )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
