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
from lightning.pytorch.trainer.connectors.logger_connector import logger_connector
from torch import Tensor

from tests.device_tasks import TASKS, data_for
from tests.pretended_gpu import GPU, HostedAccelerator, PretendedGPU, pretended_gpu
from visiontasks.callbacks import CodeImages, FilterImages, ReliabilityDiagram
from visiontasks.callbacks.progress import RunProgress
from visiontasks.cli.default_callbacks import default_callbacks

EVALUATION_WAITS = {
    "classification": 8,
    "mixup": 8,
    "localization": 14,
    "segmentation": 10,
    "segmentation segnet": 10,
    "autoencoding": 10,
    "detection": 34,
    "detection sliding-window": 34,
}
"""How often the host looks at the GPU for a batch that is evaluated: at the sizes of the images, which are evaluated
without padding; at how good each prediction is; at each field of the batch and of its predictions, as long as they are
among the worst; in detection at how many boxes there are, before and after suppression, and at all of them."""


class Waits(Callback):
    """Forbids to wait for the GPU in training from the second step on, and counts the waits of a validation batch.

    The first step is looked at: its labels, and the values of its images.
    """

    def __init__(self, gpu: PretendedGPU, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gpu = gpu
        self.of_batches: list[int] = []
        convert = logger_connector.convert_tensors_to_scalars

        def convert_what_is_logged(values: object) -> object:
            with gpu.waiting():
                return convert(values)

        # Once in log_every_n_steps.
        monkeypatch.setattr(logger_connector, "convert_tensors_to_scalars", convert_what_is_logged)

    def on_train_batch_end(self, *args: object) -> None:
        self.gpu.may_wait = False

    def on_train_epoch_end(self, *args: object) -> None:
        self.gpu.may_wait = True

    def on_validation_start(self, *args: object) -> None:
        self.gpu.may_wait = self.gpu.counts = True

    def on_validation_batch_end(self, *args: object) -> None:
        self.of_batches.append(len(self.gpu.waits))
        self.gpu.waits.clear()


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
@pytest.mark.parametrize("name", TASKS)
def test_a_task_stays_on_the_gpu_and_its_steps_do_not_wait_for_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pretended_gpu() as gpu:
        task = TASKS[name]()
        data = data_for(task)
        waits = Waits(gpu, monkeypatch)
        callbacks: list[Callback] = [
            waits,
            *default_callbacks([], {}, "visiontasks fit"),
            RunProgress(),
            FilterImages(),
        ]
        callbacks += [CodeImages()] if name == "autoencoding" else []
        callbacks += [ReliabilityDiagram()] if name == "classification" else []
        trainer = Trainer(
            strategy=SingleDeviceStrategy(GPU, HostedAccelerator()),
            max_epochs=1,
            num_sanity_val_steps=0,
            log_every_n_steps=2,
            logger=CSVLogger(tmp_path),
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(task, data)
        assert "train/loss_step" in trainer.progress_bar_metrics
        # The first images are drawn, too.
        assert waits.of_batches[-1] <= EVALUATION_WAITS[name]
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
