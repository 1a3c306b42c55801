"""Which task a checkpoint holds."""

from pathlib import Path

import pytest

from visiontasks import ClassificationTask
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.imports import import_class
from visiontasks.prediction.checkpoints import find_task


def test_find_task_looks_up_our_own_classes_only() -> None:
    assert find_task({"visiontasks": {"task": "ClassificationTask"}}, "x.ckpt") is ClassificationTask
    for record in ({}, {"task": "MyTask"}, {"task": "create_backbone"}, {"task": "VOCDataModule"}, {"task": None}):
        with pytest.raises(CheckpointError, match=r"my_module\.MyTask"):
            find_task({"visiontasks": record}, "x.ckpt")


def test_import_class() -> None:
    assert import_class("pathlib.Path") is Path
    with pytest.raises(ArgumentError, match="no_such_module"):
        import_class("no_such_module.Class")
    with pytest.raises(ArgumentError, match="Did you mean 'Path'"):
        import_class("pathlib.Pathh")
