"""The loss of an evaluation does not depend on how the images are divided into batches."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)
from visiontasks.losses.segmentation import LossName
from visiontasks.tasks.task import Task
from visiontasks.types import IGNORED

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 4, 4, 4], "depth": 1}}
IMAGES = 7


class Ignoring(ShapesDataModule):
    """Leaves out another share of the pixels of each image, and all of those of one."""

    def setup(self, stage: str) -> None:
        super().setup(stage)
        for index, sample in enumerate(self.val_set.samples):  # type: ignore[attr-defined]  # of MemorySamples
            sample.masks[: len(sample.masks) * index // (IMAGES - 1)] = IGNORED


def detector(**options: Any) -> DetectionTask:  # noqa: ANN401 - the arguments of the task
    # Fewer samples than candidates, so that it matters which are drawn.
    sizes: dict[str, Any] = {"fpn_width": 8, "head_width": 16, "rpn_post_nms_top_n": (60, 30)}
    few: dict[str, Any] = {"rpn_batch_size_per_image": 64, "box_batch_size_per_image": 16}
    return DetectionTask(4, **SMALL, **sizes, **few, **options)


def segmentation(loss: LossName) -> SegmentationTask:
    return SegmentationTask(5, loss=loss, class_weights=[1, 2, 3, 4, 5], auxiliary_weight=0.4, **SMALL)


LOSSES: tuple[LossName, ...] = ("cross_entropy", "focal", "dice", "lovasz")
CASES: dict[str, tuple[Callable[[], Task], Callable[..., ShapesDataModule], str]] = {
    "detection": (detector, ShapesDataModule, "detection"),
    "detection, all candidates": (
        lambda: DetectionTask(4, **SMALL, fpn_width=8, head_width=16, rpn_post_nms_top_n=(60, 30)),
        ShapesDataModule,
        "detection",
    ),
    "detection, windows": (lambda: detector(proposals="sliding-window"), ShapesDataModule, "detection"),
    "localization": (
        lambda: LocalizationTask(4, class_weights=[1, 2, 3, 4], **SMALL),
        ShapesDataModule,
        "localization",
    ),
    "classification": (
        lambda: ClassificationTask(4, class_weights=[1, 2, 3, 4], focal_gamma=1.0, **SMALL),
        ShapesDataModule,
        "classification",
    ),
    "autoencoding": (
        lambda: AutoencodingTask(6, loss={"mse": 1.0, "ssim": 0.5}, variational=True, image_size=(48, 48), **SMALL),
        ShapesDataModule,
        "classification",
    ),
    **{f"segmentation, {loss}": (partial(segmentation, loss), Ignoring, "segmentation") for loss in LOSSES},
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_mean_over_the_images(name: str, make_trainer: Callable[..., Trainer]) -> None:
    make, data, kind = CASES[name]
    task = make()
    found = []
    for size in (1, 3, IMAGES):
        batches = data(kind, train_size=2, val_size=IMAGES, image_size=(48, 48), batch_size=size)
        (metrics,) = make_trainer().validate(task, datamodule=batches, verbose=False)
        found.append({key: value for key, value in metrics.items() if "loss" in key})
    assert found[0]["val/loss"] > 0
    for other in found[1:]:
        assert other == pytest.approx(found[0], rel=1e-6)


def test_evaluation_draws_no_random_numbers() -> None:
    data = ShapesDataModule("detection", train_size=2, val_size=3, image_size=(48, 48), batch_size=3)
    data.setup("fit")
    batch = next(iter(data.val_dataloader()))
    task = detector().eval()
    before = torch.get_rng_state()
    with torch.no_grad():
        task.losses(task(*task.inputs(batch)), batch)
    assert torch.equal(torch.get_rng_state(), before)
    task.train()
    task.losses(task(*task.inputs(batch)), batch)
    assert not torch.equal(torch.get_rng_state(), before)
