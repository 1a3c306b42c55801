import copy
import io
import json
import os
import pickle
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import SGD, Adam

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.backbones import WrappedBackbone
from visiontasks.description import Statistics
from visiontasks.errors import CheckpointError
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD

SMALL: dict[str, Any] = {"filters": (4,), "depth": 1}

Fit = Callable[..., Trainer]


def save(task: ClassificationTask, fit: Fit, batch: ClassificationBatch, path: Path) -> Path:
    fit(task, [batch], max_epochs=1).save_checkpoint(path / "task.ckpt")
    return path / "task.ckpt"


@pytest.fixture
def saved(fit: Fit, batch: ClassificationBatch, tmp_path: Path) -> Path:
    """A checkpoint of a task with all defaults, of three classes."""
    return save(ClassificationTask(3, backbone_options=SMALL), fit, batch, tmp_path)


def equal_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[name]) for name, value in ours.items())


@pytest.mark.parametrize(
    "options",
    [{}, {"optimizer": partial(SGD, lr=0.1)}, {"optimizer": lambda parameters: Adam(parameters, lr=0.1)}],
    ids=["default", "partial", "lambda"],
)
def test_a_checkpoint_is_enough(options: dict[str, Any], fit: Fit, batch: ClassificationBatch, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "in_channels": 3,
        "image_size": (12, 15),
        "class_names": ("a", "b", "c"),
        "class_weights": [1.0, 2.0, 3.0],
        "normalization": "channel_mean",
        "dropout": 0.25,
    }
    task = ClassificationTask(3, backbone_options=SMALL, **arguments, **options)
    task.normalize.set_statistics(Statistics(torch.rand(3), torch.rand(3), None))
    loaded = ClassificationTask.load_from_checkpoint(save(task, fit, batch, tmp_path))
    assert equal_weights(task, loaded)
    assert torch.equal(task.eval()(batch.images), loaded.eval()(batch.images))
    assert loaded.class_names == ["a", "b", "c"]
    assert loaded.image_size == (12, 15)
    assert loaded.class_weights is not None
    assert loaded.class_weights.tolist() == [1, 2, 3]
    assert loaded.head.dropout.p == 0.25
    assert loaded.hparams == task.hparams
    assert loaded.hparams["backbone_options"] == SMALL


def test_a_checkpoint_holds_plain_values_only(saved: Path) -> None:
    checkpoint = torch.load(saved, weights_only=True)
    assert json.loads(json.dumps(checkpoint["hyper_parameters"]))["num_classes"] == 3
    assert not {"optimizer", "lr_scheduler"} & checkpoint["hyper_parameters"].keys()
    (options,) = checkpoint[RECORD].pop("optimizer_options")
    assert [(group["lr"], group["weight_decay"]) for group in options] == [(1e-3, 0.05), (1e-3, 0.0)]
    assert checkpoint[RECORD] == {
        "task": "ClassificationTask",
        "class_names": None,
        "image_size": None,
        "view": {"policy": "Stretch", "size": [12, 15], "multiple": 1},
        "root": None,
        "unsaved": {},
        "optimizer": "torch.optim.adamw.AdamW",
        "normalization": "imagenet",
    }


def test_what_came_from_the_data_comes_back(fit: Fit, batch: ClassificationBatch, tmp_path: Path) -> None:
    task = ClassificationTask(3, backbone_options=SMALL)
    task.class_names, task.image_size = ["a", "b", "c"], (12, 15)
    loaded = ClassificationTask.load_from_checkpoint(save(task, fit, batch, tmp_path))
    assert loaded.class_names == ["a", "b", "c"]
    assert loaded.image_size == (12, 15)


def test_saved_arguments_can_be_replaced(saved: Path) -> None:
    loaded = ClassificationTask.load_from_checkpoint(saved, dropout=0.5, class_names=["x", "y", "z"])
    assert loaded.head.dropout.p == 0.5
    assert loaded.class_names == ["x", "y", "z"]


def test_an_instance_that_cannot_be_described_has_to_be_passed_again(
    fit: Fit, batch: ClassificationBatch, tmp_path: Path
) -> None:
    def wrap(filters: int) -> WrappedBackbone:
        return WrappedBackbone(torch.nn.Sequential(torch.nn.Conv2d(3, filters, 3, 2, 1)), ["0"])

    task = ClassificationTask(3, backbone=wrap(5))
    path = save(task, fit, batch, tmp_path)
    with pytest.raises(
        CheckpointError,
        match=r"an instance of .*WrappedBackbone as 'backbone', .*Pass it again: Class.*\(path, backbone=",
    ):
        ClassificationTask.load_from_checkpoint(path)
    assert equal_weights(task, ClassificationTask.load_from_checkpoint(path, backbone=wrap(5)))
    with pytest.raises(CheckpointError, match=r"backbone.module.0.weight: \[5, 3, 3, 3\] in the checkpoint, \[6, 3"):
        ClassificationTask.load_from_checkpoint(path, backbone=wrap(6))


class Positional(ClassificationTask):
    def __init__(self, *args: Any, sharpness: float = 1.0, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, **kwargs)
        self.sharpness = sharpness


def test_arguments_that_a_subclass_passes_on_are_saved(fit: Fit, batch: ClassificationBatch, tmp_path: Path) -> None:
    task = Positional(3, ["a", "b", "c"], sharpness=2.0, backbone_options=SMALL)
    loaded = Positional.load_from_checkpoint(save(task, fit, batch, tmp_path))
    assert loaded.class_names == ["a", "b", "c"]
    assert loaded.sharpness == 2.0
    assert equal_weights(task, loaded)


def test_a_wrong_call_is_the_error_that_python_raises() -> None:
    with pytest.raises(TypeError, match=r"missing .* argument: 'num_classes'"):
        ClassificationTask()  # type: ignore[call-arg]  # the point
    with pytest.raises(TypeError, match="unexpected keyword argument 'bakbone'"):
        ClassificationTask(3, bakbone="cnn")


def test_a_missing_file_is_named_with_what_lies_beside_it(saved: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"There is no checkpoint .*tusk.ckpt'. Did you mean 'task.ckpt'\? Nothing was"
    ):
        ClassificationTask.load_from_checkpoint(saved.with_name("tusk.ckpt"))
    with pytest.raises(CheckpointError, match=r"There is no checkpoint '/nowhere/x.ckpt'. '/' has no 'nowhere'"):
        read_checkpoint("/nowhere/x.ckpt")


@pytest.mark.parametrize("content", ["empty", "text", "noise", "half", "scrambled"])
def test_a_damaged_file_is_named(content: str, saved: Path, fit: Fit, batch: ClassificationBatch) -> None:
    whole = saved.read_bytes()
    contents = {
        "empty": b"",
        "text": b"epoch: 3\n",
        "noise": bytes(range(256)),
        "half": whole[: len(whole) // 2],
        "scrambled": whole[:100] + b"?" * 50 + whole[150:],
    }
    saved.write_bytes(contents[content])
    message = (
        r"task.ckpt' is damaged( or not a checkpoint \(\w+\)|: .* record 'archive/data.pkl' .*)\. Use an earlier one"
    )
    with pytest.raises(CheckpointError, match=message):
        ClassificationTask.load_from_checkpoint(saved)
    with pytest.raises(CheckpointError, match=message):
        fit(ClassificationTask(3, backbone_options=SMALL), [batch], ckpt_path=saved, max_epochs=2)


@pytest.mark.parametrize("content", [{"epoch": 3}, [1, 2]])
def test_a_file_of_something_else_is_no_checkpoint(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match=r"other.ckpt' is not a Lightning checkpoint: it has no 'state_dict'"):
        read_checkpoint(tmp_path / "other.ckpt")


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_file_that_would_run_a_command_is_refused(
    saved: Path, fit: Fit, batch: ClassificationBatch, tmp_path: Path
) -> None:
    mark = tmp_path / "command_was_run"
    torch.save(torch.load(saved) | {"extra": Command(f"touch {mark}")}, saved)
    with pytest.raises(
        CheckpointError, match=r"task.ckpt' holds \w+.system beside tensors and plain values, and was refused"
    ):
        ClassificationTask.load_from_checkpoint(saved)
    with pytest.raises(CheckpointError, match=r"task.ckpt' holds \w+.system"):
        fit(ClassificationTask(3, backbone_options=SMALL), [batch], ckpt_path=saved, max_epochs=2)
    with io.BytesIO() as buffer:
        torch.save(Command(f"touch {mark}"), buffer, _use_new_zipfile_serialization=False)
        saved.write_bytes(buffer.getvalue())
    with pytest.raises(CheckpointError, match=r"\w+.system beside tensors"):
        ClassificationTask.load_from_checkpoint(saved)
    assert not mark.exists()


def test_a_checkpoint_of_another_class_count_lists_the_keys(saved: Path, fit: Fit, batch: ClassificationBatch) -> None:
    message = re.escape(
        "nothing was loaded:\n  head.linear.bias: [3] in the checkpoint, [5] in the model\n  head.linear.weight"
    )
    with pytest.raises(CheckpointError, match=message):
        ClassificationTask.load_from_checkpoint(saved, num_classes=5)
    task = ClassificationTask(5, backbone_options=SMALL)
    before = copy.deepcopy(task)
    with pytest.raises(CheckpointError, match=message):
        fit(task, [batch], ckpt_path=saved, max_epochs=2)
    assert equal_weights(task, before)


def test_missing_and_unexpected_keys_are_listed(saved: Path) -> None:
    task = ClassificationTask(3, backbone_options=SMALL | {"norm": "none"})
    weights = torch.load(saved)["state_dict"]
    with pytest.raises(CheckpointError) as caught:
        task.load_state_dict(weights)
    assert "  backbone.stages.0.0.conv.bias: not in the checkpoint\n" in str(caught.value)
    assert "  backbone.stages.0.0.norm.running_mean: not in the model\n" in str(caught.value)
    mismatch = task.load_state_dict(weights, strict=False)
    assert mismatch.missing_keys == ["backbone.stages.0.0.conv.bias"]


def test_weights_of_a_compiled_model_load_into_a_plain_one_and_back(saved: Path) -> None:
    checkpoint = torch.load(saved)
    plain_weights: dict[str, Tensor] = checkpoint["state_dict"]
    checkpoint["state_dict"] = {re.sub(r"^backbone\.", "backbone._orig_mod.", k): v for k, v in plain_weights.items()}
    torch.save(checkpoint, saved)
    loaded = ClassificationTask.load_from_checkpoint(saved)
    assert all(torch.equal(value, plain_weights[name]) for name, value in loaded.state_dict().items())

    compiled = ClassificationTask(3, backbone_options=SMALL)
    compiled.backbone = torch.compile(compiled.backbone)  # type: ignore[assignment]  # wraps what it is given
    compiled.load_state_dict(plain_weights)
    assert any("_orig_mod" in name for name in compiled.state_dict())
    for name, value in compiled.state_dict().items():
        assert torch.equal(value, plain_weights[name.replace("_orig_mod.", "")])


@pytest.mark.parametrize("trained", [False, True])
def test_a_task_can_be_copied_and_pickled(trained: bool, fit: Fit, batch: ClassificationBatch) -> None:
    # Python pickles no lambda, which the default optimiser is: a task does not keep it.
    task = ClassificationTask(3, backbone_options=SMALL)
    if trained:
        fit(task, [batch], max_epochs=1)
    for copied in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        assert equal_weights(task, copied)
        assert copied.hparams == task.hparams
        before = copy.deepcopy(task.state_dict())
        fit(copied, [batch], max_epochs=1)
        assert not torch.equal(copied.head.linear.weight, before["head.linear.weight"])
        assert torch.equal(task.head.linear.weight, before["head.linear.weight"])
