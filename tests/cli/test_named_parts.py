"""Parts of a user's own on the command line, and what a checkpoint then holds."""

import sys
from pathlib import Path

import numpy as np
import pytest
from jsonargparse import Namespace
from PIL import Image

from visiontasks import ClassificationTask
from visiontasks.cli import main
from visiontasks.cli.named_parts import name_parts
from visiontasks.runs import best_checkpoint

SOURCE = """
import torch
from visiontasks import Backbone
from visiontasks.decoders import Decoder

class Wide(Backbone):
    strides = (2,)

    def __init__(self, in_channels: int = 3, width: int = 8):
        super().__init__()
        self.channels = (width,)
        self.layer = torch.nn.Conv2d(in_channels, width, 3, stride=2, padding=1)

    def forward(self, images):
        return [self.layer(images).relu()]

class Enlarged(Decoder):
    def __init__(self, channels, strides, num_outputs, bias: bool = True):
        super().__init__(channels, strides)
        self.classify = torch.nn.Conv2d(channels[0], num_outputs, 1, bias=bias)

    def forward(self, features, size):
        return torch.nn.functional.interpolate(self.classify(features[0]), size)
"""
DATA = "--data.train_size 8 --data.val_size 4 --data.test_size 4 --data.image_size [16,16] --data.in_channels 1"
SHORT = f"{DATA} --trainer.max_epochs 1 --trainer.accelerator cpu --shown [] --trainer.enable_progress_bar false"


def part(path: str, **options: object) -> Namespace:
    return Namespace(class_path=path, init_args=Namespace(**options))


def test_a_class_with_plain_options_becomes_its_path_and_options() -> None:
    task = Namespace(
        backbone=part("my.Wide", in_channels=3, width=4),
        backbone_options=None,
        decoder=part("my.Dec", channels=None, strides=None, num_outputs=None, depth=2),
        decoder_options=None,
    )
    name_parts(task)
    assert (task.backbone, task.backbone_options) == ("my.Wide", {"width": 4})
    assert (task.decoder, task.decoder_options) == ("my.Dec", {"depth": 2})


def test_a_name_and_a_class_with_an_instance_in_it_stay() -> None:
    wrapped = part("visiontasks.backbones.WrappedBackbone", network=part("my.Network"), nodes=["a"])
    task = Namespace(backbone=wrapped, backbone_options=None)
    name_parts(task)
    assert task.backbone is wrapped
    task = Namespace(backbone="cnn", backbone_options={"depth": 1}, decoder="unet", decoder_options=None)
    name_parts(task)
    assert (task.backbone, task.backbone_options) == ("cnn", {"depth": 1})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a user, with a module and a picture."""
    (tmp_path / "users_parts.py").write_text(SOURCE)
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "grey.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "users_parts", raising=False)
    return tmp_path


@pytest.mark.parametrize(("flags", "width"), [("", 8), ("--model.backbone.width 4", 4)])
def test_a_backbone_by_path_trains_and_its_checkpoint_needs_no_flag(
    flags: str, width: int, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(f"fit {SHORT} --model.backbone users_parts.Wide {flags}".split()) == 0
    checkpoint = best_checkpoint(folder / "runs/fit/version_0")
    task = ClassificationTask.load_from_checkpoint(checkpoint)
    assert (type(task.backbone).__name__, task.backbone.channels) == ("Wide", (width,))
    assert main(f"test --ckpt_path {checkpoint} {DATA} --shown [] --report false".split()) == 0
    assert main(["predict", str(checkpoint), "grey.png"]) == 0
    assert "grey.png" in capsys.readouterr().out


def test_a_decoder_by_path_trains(folder: Path) -> None:
    task = "--model SegmentationTask --data.task segmentation --model.backbone users_parts.Wide"
    assert main(f"fit {SHORT} {task} --model.decoder users_parts.Enlarged".split()) == 0
    assert main(f"predict {best_checkpoint(folder / 'runs/fit/version_0')} grey.png --output masks".split()) == 0
    assert (folder / "masks" / "grey.png").exists()


def test_a_module_that_is_missing_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(f"fit {SHORT} --model.backbone user_parts.Wide".split()) == 2
    assert "error: 'user_parts.Wide' cannot be imported: No module named 'user_parts'" in capsys.readouterr().err
