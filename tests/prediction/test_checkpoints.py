"""Which task a checkpoint holds."""

import pytest

from visiontasks import ClassificationTask
from visiontasks.errors import CheckpointError
from visiontasks.prediction.checkpoints import find_task


def test_find_task_looks_up_our_own_classes_only() -> None:
    assert find_task({"visiontasks": {"task": "ClassificationTask"}}, "x.ckpt") is ClassificationTask
    for record in ({}, {"task": "MyTask"}, {"task": "create_backbone"}, {"task": "VOCDataModule"}, {"task": None}):
        with pytest.raises(CheckpointError, match=r"my_module\.\w+ \(--task"):
            find_task({"visiontasks": record}, "x.ckpt")
