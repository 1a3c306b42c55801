"""A small task of each kind, its checkpoint, and pictures to predict."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Trainer
from PIL import Image

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    InstanceSegmentationTask,
    LocalizationTask,
    SegmentationTask,
    Task,
)

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}
NAMES = ["background", "cat", "dog"]

TASKS: dict[str, Callable[..., Task]] = {
    "multiclass": lambda **more: ClassificationTask(3, NAMES, image_size=(20, 24), backbone_options=SMALL, **more),
    "multilabel": lambda **more: ClassificationTask(
        3, NAMES, "multilabel", [0.3, 0.4, 0.9], image_size=(20, 24), backbone_options=SMALL, **more
    ),
    "binary": lambda **more: ClassificationTask(
        2, NAMES[:2], "binary", image_size=(20, 24), backbone_options=SMALL, **more
    ),
    "localization": lambda **more: LocalizationTask(3, NAMES, image_size=(20, 40), backbone_options=SMALL, **more),
    "detection": lambda **more: DetectionTask(
        2, NAMES[1:], backbone="resnet18", fpn_width=16, head_width=16, box_detections_per_img=9, **more
    ),
    "instances": lambda **more: InstanceSegmentationTask(
        2,
        NAMES[1:],
        backbone="resnet18",
        fpn_width=16,
        head_width=16,
        box_detections_per_img=9,
        mask_widths=(8,),
        **more,
    ),
    "autoencoding": lambda **more: AutoencodingTask(5, image_size=(20, 24), backbone_options=SMALL, **more),
    "segmentation": lambda **more: SegmentationTask(3, NAMES, backbone_options=SMALL, **more),
}


def save_task(task: Task, path: Path) -> Path:
    """Write the checkpoint of a task that was not trained."""
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu", enable_model_summary=False)
    trainer.strategy.connect(task)
    task.trainer = trainer
    trainer.save_checkpoint(path, weights_only=False)
    return path


def write_pictures(folder: Path) -> list[Path]:
    """Write pictures of several sizes and modes, in depth, and two files that are none; the names are sorted."""
    (folder / "deeper").mkdir(parents=True)
    random = np.random.default_rng(0)

    def pixels(*shape: int, kind: type = np.uint8) -> Image.Image:
        return Image.fromarray(random.integers(0, np.iinfo(kind).max, shape, dtype=kind))

    turned = pixels(24, 40, 3)
    exif = turned.getexif()
    exif[0x0112] = 6  # displayed upright: 40 high, 24 wide
    turned.save(folder / "deeper" / "turned.jpg", exif=exif)
    pixels(33, 21, 3).save(folder / "a b.png")
    pixels(20, 31).save(folder / "grey.png")
    pixels(30, 26, kind=np.uint16).save(folder / "grey16.png")
    pixels(20, 22, 3).convert("CMYK").save(folder / "printed.jpg")
    pixels(28, 20, 4).save(folder / "é alpha.png")
    (folder / "half.jpg").write_bytes((folder / "printed.jpg").read_bytes()[:300])
    (folder / "text.jpg").write_text("This is no picture.")
    (folder / "notes.md").write_text("Not even named like one.")
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".md")
