"""Backbones and decoders that were given as instances come back from a checkpoint, if their classes are at hand."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.prediction.small_tasks import save_task
from visiontasks import Backbone, ClassificationTask, SegmentationTask, Task, create_backbone
from visiontasks.backbones.backbone import Features
from visiontasks.decoders import Decoder
from visiontasks.errors import CheckpointError
from visiontasks.prediction import load_task
from visiontasks.tasks.given_objects import describe, descriptions_in
from visiontasks.tasks.record import RECORD


class Strided(Backbone):
    def __init__(self, width: int = 4, in_channels: int = 3) -> None:
        super().__init__()
        self.channels, self.strides = (width,), (2,)
        self.convolution = nn.Conv2d(in_channels, width, 3, stride=2, padding=1)

    def forward(self, images: Tensor) -> Features:
        return [self.convolution(images).relu()]


class Activated(Strided):
    def __init__(self, activation: Any, **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(**options)
        self.activation = activation


class Enlarged(Decoder):
    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], num_outputs: int) -> None:
        super().__init__(channels, strides)
        self.classify = nn.Conv2d(channels[0], num_outputs, 1)

    def forward(self, features: Features, size: tuple[int, int]) -> Tensor:
        return nn.functional.interpolate(self.classify(features[0]), size)


def test_a_backbone_of_the_users_comes_back_with_its_arguments(tmp_path: Path) -> None:
    task = ClassificationTask(2, backbone=Strided(7), image_size=(12, 12))
    file = save_task(task, tmp_path / "task.ckpt")
    for loaded in (load_task(file), ClassificationTask.load_from_checkpoint(file)):
        assert type(loaded.backbone) is Strided
        assert loaded.backbone.channels == (7,)
        for name, value in task.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value)
    again = save_task(load_task(file), tmp_path / "again.ckpt")
    assert load_task(again).backbone.channels == (7,)
    given = ClassificationTask.load_from_checkpoint(file, backbone=(backbone := Strided(7)))
    assert given.backbone is backbone


def test_a_backbone_of_the_library_and_a_decoder_of_the_users_come_back(tmp_path: Path) -> None:
    backbone = create_backbone("cnn", filters=(4, 6), depth=1)
    task = SegmentationTask(3, backbone=backbone, decoder=Enlarged(backbone.channels, backbone.strides, 3))
    loaded: Any = load_task(save_task(task, tmp_path / "task.ckpt"))
    assert type(loaded.decoder) is Enlarged
    images = torch.zeros(1, 3, 9, 11)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images), task.eval()(images))


def test_of_two_classes_of_one_name_the_later_is_taken(tmp_path: Path) -> None:
    def define(width: int) -> type[Strided]:
        class Cell(Strided):
            def __init__(self) -> None:
                super().__init__(width)

        return Cell

    first, second = define(5), define(5)
    loaded = load_task(save_task(ClassificationTask(2, backbone=first()), tmp_path / "task.ckpt"))
    assert type(loaded.backbone) is second


def edited(file: Path, **record: object) -> Path:
    checkpoint = torch.load(file, weights_only=True)
    checkpoint[RECORD] |= record
    torch.save(checkpoint, file)
    return file


def test_a_checkpoint_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = save_task(ClassificationTask(2, backbone=Strided(7)), tmp_path / "task.ckpt")
    (tmp_path / "planted.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for path in ("planted.Strided", "builtins.print", "torch.nn.modules.linear.Linear"):
        described: dict[str, Any] = {"backbone": {"class_path": path, "init_args": {}}}
        with pytest.raises(CheckpointError, match=f"Import {path} before, or pass it again.*--model.backbone {path}"):
            load_task(edited(file, unsaved=described))


def test_a_checkpoint_of_before_knows_the_names_only(tmp_path: Path) -> None:
    file = save_task(ClassificationTask(2, backbone=Strided(7)), tmp_path / "task.ckpt")
    edited(file, unsaved=["backbone"])
    with pytest.raises(CheckpointError, match=r"an instance of my_module.MyClass as 'backbone'.*Pass it again"):
        load_task(file)
    assert ClassificationTask.load_from_checkpoint(file, backbone=Strided(7)).backbone.channels == (7,)
    assert descriptions_in({}) == {}


def test_what_is_not_plain_is_not_described() -> None:
    activated = Activated(nn.ReLU(), width=3)
    assert describe(activated) == {"class_path": f"{__name__}.Activated", "init_args": None}
    assert describe(Activated("relu", width=3))["init_args"] == {"activation": "relu", "width": 3, "in_channels": 3}
    assert describe(nn.ReLU()) == {"class_path": "torch.nn.modules.activation.ReLU", "init_args": None}


def test_a_copy_knows_how_it_was_made() -> None:
    for copied in (copy.deepcopy(Strided(5)), pickle.loads(pickle.dumps(Strided(5)))):
        assert copied.made_with == {"width": 5, "in_channels": 3}
    assert isinstance(ClassificationTask(2, backbone=copy.deepcopy(Strided(5))), Task)
