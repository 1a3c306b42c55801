"""A checkpoint with a backbone of the user's own, in every command that takes one."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.prediction.small_tasks import NAMES, save_task
from visiontasks import ClassificationTask
from visiontasks.cli import main
from visiontasks.cli.model_flags import take_model_flags

MODULE = """
import torch
from torch import nn
from visiontasks import Backbone
from visiontasks.backbones import WrappedBackbone


class Strided(Backbone):
    def __init__(self, width: int = 4, in_channels: int = 3):
        super().__init__()
        self.channels, self.strides = (width,), (2,)
        self.convolution = nn.Conv2d(in_channels, width, 3, stride=2, padding=1)

    def forward(self, images):
        return [self.convolution(images).relu()]


class Net(nn.Sequential):
    def __init__(self, width: int = 4):
        super().__init__(nn.Conv2d(3, width, 3, 2, 1), nn.ReLU())


def make() -> WrappedBackbone:
    return WrappedBackbone(Net(), ["1"])
"""
NAME = "backbones_of_a_user"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Save the module of a user, pictures, and checkpoints of tasks with its backbones; the module is not imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path(f"{NAME}.py").write_text(MODULE)
    module = __import__(NAME)
    torch.manual_seed(0)
    for name, backbone in (("own", module.Strided(7)), ("wrapped", module.make())):
        task = ClassificationTask(3, NAMES, backbone=backbone, image_size=(16, 20))
        save_task(task, Path(f"{name}.ckpt"))
    Path("images").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (18, 22, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"images/{number}.png")
    forget(module)
    return tmp_path


def forget(module: ModuleType) -> None:
    """Forget a module and its classes, as in a new process."""
    for name in ("Strided", "make", "Net"):
        kind = getattr(module, name)
        if isinstance(kind, type):
            kind.__module__ = "forgotten"
    del sys.modules[module.__name__]


def configure(**arguments: Any) -> None:  # noqa: ANN401 - of a task
    model = {"class_path": "ClassificationTask", "init_args": arguments}
    content = {"model": model, "data": {"class_path": "ShapesDataModule"}}
    Path("config.yaml").write_text(yaml.safe_dump(content))


COMMANDS = [
    ["predict", "{}.ckpt", "images", "-o", "out.jsonl"],
    ["embed", "{}.ckpt", "images", "-o", "out.npz"],
    ["export", "{}.ckpt", "-o", "out.pt2", "--image_size", "8", "12"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_class_is_asked_for_and_its_name_is_enough(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    words = [word.format("own") for word in command]
    assert main(words) == 2
    assert f"give --model.backbone {NAME}.Strided" in capsys.readouterr().err
    assert main([*words, "--model.backbone", f"{NAME}.Strided"]) == 0
    assert Path(words[words.index("-o") + 1]).is_file()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_a_wrapped_network_comes_from_a_function_or_from_the_configuration(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    words = [word.format("wrapped") for word in command]
    assert main(words) == 2
    assert "or --config FILE, the configuration of its training" in capsys.readouterr().err
    assert main([*words, "--model.backbone", f"{NAME}.make"]) == 0
    wrapped = {
        "class_path": "visiontasks.backbones.WrappedBackbone",
        "init_args": {"module": {"class_path": f"{NAME}.Net"}, "nodes": ["1"]},
    }
    configure(num_classes=3, backbone=wrapped)
    assert main([*words, "--config", "config.yaml"]) == 0
    assert main([*words, f"--model.backbone={json.dumps(wrapped)}"]) == 0


def test_predictions_are_those_of_the_instance(folder: Path) -> None:
    assert main(["predict", "own.ckpt", "images", "-o", "a.jsonl", "--model.backbone", f"{NAME}.Strided"]) == 0
    configure(num_classes=3, backbone={"class_path": f"{NAME}.Strided", "init_args": {"width": 7}})
    assert main(["predict", "own.ckpt", "images", "-o", "b.jsonl", "--config", "config.yaml"]) == 0
    assert Path("a.jsonl").read_text() == Path("b.jsonl").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model.backbone", f"{NAME}.Strided", "--model.backbone.width", "9"], "[7, 3, 3, 3] in the checkpoint, [9"),
        (["--model.backbone", f"{NAME}.Stridded"], "Stridded"),
        (["--model.head", "my.Head"], "--model.head is given, but the checkpoint needs backbone"),
        (["--model.backbone", "torch.nn.ReLU"], "ReLU"),
        (["--config", "absent.yaml"], "absent.yaml cannot be read"),
    ],
)
def test_wrong_flags_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["predict", "own.ckpt", "images", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_a_checkpoint_that_needs_nothing_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_task(ClassificationTask(2, backbone_options={"filters": [4]}, image_size=(8, 8)), Path("plain.ckpt"))
    assert main(["predict", "plain.ckpt", "images", "--model.backbone", f"{NAME}.Strided"]) == 2
    assert "the checkpoint holds all that its task needs. Leave it out" in capsys.readouterr().err


def test_flags_are_taken_with_their_values() -> None:
    words = ["a.ckpt", "--model.backbone", "my.Strided", "b.jpg", "--model.backbone.width=8", "-o", "c", "--model.x"]
    flags = ["--model.backbone=my.Strided", "--model.backbone.width=8", "--model.x="]
    assert take_model_flags(words) == (flags, ["a.ckpt", "b.jpg", "-o", "c"])
