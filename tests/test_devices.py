"""Tasks on a GPU, as far as that can be told without one; tests/gpu needs one."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor

from tests.pretended_gpu import GPU, HostedAccelerator, pretended_gpu
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)
from visiontasks.callbacks import CodeImages, FilterImages, ReliabilityDiagram
from visiontasks.cli.default_callbacks import default_callbacks
from visiontasks.tasks.task import Task

SMALL: dict[str, Any] = {"backbone_options": {"filters": [8, 8, 8], "depth": 1}}
DETECTOR: dict[str, Any] = {
    **SMALL,
    "fpn_width": 8,
    "head_width": 8,
    "rpn_pre_nms_top_n": (50, 50),
    "rpn_post_nms_top_n": (20, 20),
    "box_batch_size_per_image": 16,
    "box_score_thresh": 0.0,
}
LOSSES = {"cross_entropy": 1.0, "focal": 1.0, "dice": 1.0, "lovasz": 1.0}

TASKS: dict[str, Callable[[], Task]] = {
    "classification": lambda: ClassificationTask(4, calibrate=True, class_weights="balanced", **SMALL),
    "mixup": lambda: ClassificationTask(4, mixup=0.2, focal_gamma=2.0, test_time_flips="horizontal", **SMALL),
    "localization": lambda: LocalizationTask(4, class_agnostic=False, box_loss="ciou", **SMALL),
    "detection": lambda: DetectionTask(4, **DETECTOR),
    "detection sliding-window": lambda: DetectionTask(4, proposals="sliding-window", neck="none", **DETECTOR),
    "segmentation": lambda: SegmentationTask(
        5,
        loss=LOSSES,
        class_weights=[1.0] * 5,
        auxiliary_weight=0.1,
        test_time_flips="horizontal",
        test_time_scales=(1.0, 0.5),
        **SMALL,
    ),
    "segmentation segnet": lambda: SegmentationTask(5, decoder="segnet", normalization="dataset", **SMALL),
    "autoencoding": lambda: AutoencodingTask(8, image_size=(48, 40), loss={"mse": 1.0, "ssim": 1.0}, **SMALL),
}


def data_for(task: Task) -> ShapesDataModule:
    """Make batches of what a task takes."""
    kind: Any = task.takes or "classification"
    return ShapesDataModule(kind, train_size=4, val_size=2, test_size=2, image_size=(48, 40), batch_size=4)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("name", TASKS)
def test_nothing_of_a_task_stays_behind_on_the_host(name: str, tmp_path: Path) -> None:
    with pretended_gpu():
        task = TASKS[name]()
        data = data_for(task)
        callbacks: list[Callback] = [*default_callbacks([], {}, "visiontasks fit"), FilterImages()]
        callbacks += [CodeImages()] if name == "autoencoding" else []
        callbacks += [ReliabilityDiagram()] if name == "classification" else []
        trainer = Trainer(
            strategy=SingleDeviceStrategy(GPU, HostedAccelerator()),
            max_epochs=1,
            num_sanity_val_steps=0,
            logger=CSVLogger(tmp_path),
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(task, data)
        (metrics,) = trainer.test(task, data, verbose=False)
        trainer.predict(task, data)
    assert math.isfinite(metrics["test/loss"])


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("name", TASKS)
def test_losses_do_not_wait_for_the_gpu(name: str) -> None:
    with pretended_gpu():
        task = TASKS[name]()
        data = data_for(task)
        data.setup("fit")
        task.to(GPU)
        batch = next(iter(data.train_dataloader()))
        batch = type(batch)(*(field.to(GPU) for field in batch))
    with pretended_gpu(may_wait=False):
        terms = task.losses(task(*task.inputs(batch)), batch)
        torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is not None for parameter in task.parameters() if parameter.requires_grad)


MISTAKES: dict[str, Callable[[Tensor], Any]] = {
    "both devices": lambda x: x + torch.ones(3),
    "a number of the other device": lambda x: torch.stack([x[0], torch.tensor(1.0)]),
    "array": lambda x: x.numpy(),
    "number": lambda x: x.sum().item(),
    "condition": lambda x: bool(x[0] > 0),
    "mask": lambda x: x[x > 0],
    "list": lambda x: x.new_tensor([1.0]),
    "there": lambda x: torch.ones(3).to(x.device),
    "back": lambda x: x.cpu(),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_found(name: str) -> None:
    with pretended_gpu(may_wait=False):
        ones = torch.ones(3, device=GPU)
        with pytest.raises(AssertionError):
            MISTAKES[name](ones)
