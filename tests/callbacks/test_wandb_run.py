"""What Weights & Biases is told of a run, and how long its end is waited for."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from visiontasks import ClassificationTask
from visiontasks.callbacks.wandb_run import WandbRun, finish_runs


class Config(dict[str, Any]):
    """A configuration of Weights & Biases, in which values may change."""

    def update(self, values: dict[str, Any], allow_val_change: bool) -> None:  # type: ignore[override]  # as there
        assert allow_val_change
        super().update(values)


class Fingerprinted:
    """Stands in for a data module."""

    def __init__(self) -> None:
        self.known = {"train": "1f"}

    def fingerprint(self) -> dict[str, str]:
        return self.known


def trainer_of(*, first: bool = True, data: Any = None) -> tuple[Any, Any]:  # noqa: ANN401 (a data module)
    run = Mock(id="abc", dir=str(Path.cwd() / "runs/wandb/run-1/files"), offline=False, config=Config(), tags=("mine",))
    logger = Mock(WandbLogger, experiment=run)
    logger.name = "project"
    trainer = Mock(Trainer, is_global_zero=first, loggers=[Mock(CSVLogger), logger], datamodule=data)
    trainer.state = SimpleNamespace(fn="fit")
    return trainer, run


def test_a_run_is_described_once_in_each_stage() -> None:
    data = Fingerprinted()
    trainer, run = trainer_of(data=data)
    task = ClassificationTask(2, class_names=["cat", "dog"], image_size=(8, 9))
    callback = WandbRun({"seed": 3})
    callback.on_train_start(trainer, task)
    callback.on_validation_start(trainer, task)
    about = {"class_names": ["cat", "dog"], "image_size": (8, 9), "task": "ClassificationTask"}
    assert run.config == {"seed": 3, **about, "data_fingerprint": {"train": "1f"}}
    assert run.tags == ("mine", "ClassificationTask", "Fingerprinted")
    step = "trainer/global_step"
    run.define_metric.assert_called_once_with("val/accuracy", summary="max", step_metric=step)
    assert callback.state_dict() == {"project": "abc"}
    trainer.state = SimpleNamespace(fn="test")
    data.known = {"test": "2e"}
    callback.on_test_start(trainer, task)
    assert run.config["data_fingerprint"] == {"train": "1f", "test": "2e"}


def test_a_loss_has_its_minimum_in_the_table_of_runs() -> None:
    trainer, run = trainer_of()
    task = Mock(ClassificationTask, monitor="val/loss", monitor_mode="min", class_names=None, image_size=None)
    WandbRun().on_validation_start(trainer, task)
    assert run.define_metric.call_args.kwargs["summary"] == "min"


def test_other_processes_say_nothing() -> None:
    trainer, run = trainer_of(first=False)
    callback = WandbRun()
    callback.on_train_start(trainer, ClassificationTask(2))
    finish_runs(trainer)
    assert not run.method_calls
    assert callback.state_dict() == {}


def test_the_end_of_a_run_is_waited_for_as_long_as_asked() -> None:
    trainer, run = trainer_of()
    finish_runs(trainer)
    run.finish.assert_called_once_with()
    gate = threading.Event()
    run.finish.side_effect = lambda: gate.wait(0.2) and None
    finish_runs(trainer, 30.0)  # no warning
    run.finish.side_effect = lambda: gate.wait(30)
    message = r"not ended its upload within 0\.05 s; the rest is in runs/wandb/run-1\. To upload it: wandb sync runs"
    with pytest.warns(UserWarning, match=message):
        finish_runs(trainer, 0.05)
    gate.set()


@pytest.mark.parametrize("offline", [True, False])
def test_where_a_run_that_is_offline_is_kept_is_printed(offline: bool, capsys: pytest.CaptureFixture[str]) -> None:
    trainer, run = trainer_of()
    run.offline = offline
    finish_runs(trainer)
    expected = (
        "The run of Weights & Biases is offline, in runs/wandb/run-1. To upload it: wandb sync runs/wandb/run-1\n"
    )
    assert capsys.readouterr().out == (expected if offline else "")
