"""All five tasks on a CUDA device; run with VISIONTASKS_GPU=1 pytest -m gpu. tests/test_devices.py pretends one."""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LambdaCallback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.trainer.connectors.logger_connector import logger_connector
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tests.device_tasks import SMALL, TASKS, data_for
from visiontasks import ClassificationTask
from visiontasks.callbacks.progress import RunProgress
from visiontasks.cli.default_callbacks import default_callbacks
from visiontasks.export import export_task
from visiontasks.tasks.compilation import compile_regions
from visiontasks.tasks.task import Task

DEVICE = torch.device("cuda")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.unchecked,  # the run-time checks of annotations wait for the device
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute float32 without TF32, wait again after a test, and forget what was compiled."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    yield
    if DEVICE.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")
    torch.compiler.reset()


def batch_of(task: Task, split: str = "train") -> Any:  # noqa: ANN401 - of any task
    data = data_for(task)
    data.setup("fit")
    return next(iter(data.train_dataloader() if split == "train" else data.val_dataloader()))


def on_device(batch: Any) -> Any:  # noqa: ANN401 - of any task
    return type(batch)(*(field.to(DEVICE) for field in batch))


def loss_of(task: Task, batch: Any) -> Tensor:  # noqa: ANN401 - of any task
    return torch.stack(list(task.losses(task(*task.inputs(batch)), batch).values())).sum()


class NoWaiting(Callback):
    """Makes waiting for the device an error from the second step on, except for what is logged in some steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        convert = logger_connector.convert_tensors_to_scalars

        def convert_what_is_logged(values: object) -> object:
            before = torch.cuda.get_sync_debug_mode()
            torch.cuda.set_sync_debug_mode("default")
            found = convert(values)
            torch.cuda.set_sync_debug_mode(before)
            return found

        monkeypatch.setattr(logger_connector, "convert_tensors_to_scalars", convert_what_is_logged)

    def on_train_batch_end(self, *args: object) -> None:
        self.steps += 1
        torch.cuda.set_sync_debug_mode("error")

    def on_train_epoch_end(self, *args: object) -> None:
        torch.cuda.set_sync_debug_mode("default")

    def on_validation_start(self, *args: object) -> None:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_no_training_step_waits_for_the_device(
    name: str,
    precision: str,
    make_trainer: Callable[..., Trainer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task = TASKS[name]()
    no_waiting = NoWaiting(monkeypatch)
    trainer = make_trainer(
        accelerator="gpu",
        max_epochs=1,
        precision=precision,
        num_sanity_val_steps=0,
        log_every_n_steps=2,
        logger=CSVLogger(tmp_path),
        callbacks=[no_waiting, *default_callbacks([], {}, "visiontasks fit"), RunProgress()],
        enable_progress_bar=True,
    )
    data = data_for(task)
    trainer.fit(task, data)
    assert no_waiting.steps == 3
    (metrics,) = trainer.test(task, data, verbose=False)
    assert math.isfinite(metrics["test/loss"])
    assert trainer.predict(task, data)


@pytest.mark.parametrize("name", sorted(set(TASKS) - {"mixup"}))
@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 1e-3), (torch.bfloat16, 5e-2), (torch.float16, 2e-2)])
def test_the_evaluation_loss_is_that_of_the_cpu(name: str, dtype: torch.dtype | None, tolerance: float) -> None:
    # Of a detector in 16 bits others of the many like proposals are sampled.
    tolerance *= 4 if name.startswith("detection") and dtype else 1
    task = TASKS[name]().eval()
    batch = batch_of(task, "val")
    with torch.no_grad():
        expected = loss_of(task, batch)
        with torch.autocast(DEVICE.type, dtype or torch.bfloat16, enabled=dtype is not None):
            found = loss_of(task.to(DEVICE), on_device(batch))
    torch.testing.assert_close(found.cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["classification", "localization", "segmentation", "autoencoding"])
def test_predictions_are_those_of_the_cpu(name: str) -> None:
    task = TASKS[name]().eval()
    batch = batch_of(task, "val")
    with torch.no_grad():
        expected = tree_leaves(task.predict(task(*task.inputs(batch))))
        found = tree_leaves(task.to(DEVICE).predict(task(*task.inputs(on_device(batch)))))
    for ours, theirs in zip(found, expected, strict=True):
        if isinstance(theirs, Tensor) and theirs.is_floating_point():
            torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("name", ["localization", "detection", "segmentation segnet", "autoencoding"])
def test_a_compiled_task_computes_the_same(name: str) -> None:
    task = TASKS[name]().to(DEVICE).eval()
    batch = on_device(batch_of(task, "val"))
    compiled = deepcopy(task)
    compile_regions(compiled)
    with torch.no_grad():
        expected = loss_of(task, batch)
    found = loss_of(compiled, batch)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-3, atol=1e-3)
    found.backward()
    assert all(value.grad is not None for value in compiled.parameters() if value.requires_grad)


@pytest.mark.parametrize("frozen", [False, True])
def test_one_process_of_ddp_trains_with_synchronised_and_with_frozen_batch_norm(
    frozen: bool, make_trainer: Callable[..., Trainer]
) -> None:
    task = ClassificationTask(4, freeze_norms=frozen, **SMALL)
    before = {name: value.clone() for name, value in task.backbone.named_buffers() if "running_mean" in name}
    assert before
    synchronised: list[bool] = []
    watch = LambdaCallback(
        on_train_start=lambda _, task: synchronised.extend(
            isinstance(module, nn.SyncBatchNorm) for module in task.modules()
        )
    )
    trainer = make_trainer(accelerator="gpu", strategy="ddp", sync_batchnorm=True, max_epochs=1, callbacks=[watch])
    trainer.fit(task, data_for(task))
    assert any(synchronised)
    after = dict(task.backbone.named_buffers())
    assert all(value.equal(after[name].cpu()) == frozen for name, value in before.items())


@pytest.mark.parametrize("suffix", ["pt2", "onnx"])
def test_a_task_on_the_device_is_exported(suffix: str, tmp_path: Path) -> None:
    task = ClassificationTask(4, image_size=32, **SMALL).to(DEVICE)
    export_task(task, tmp_path / f"task.{suffix}")
    assert (tmp_path / f"task.{suffix}").is_file()
