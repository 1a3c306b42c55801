"""visiontasks backbones, and backbones of one's own on the command line."""

import json
from pathlib import Path

import pytest
import torch

from visiontasks import list_backbones
from visiontasks.cli import main
from visiontasks.cli.backbones import published_weights

DATA = "--data.train_size 16 --data.val_size 8 --data.test_size 8 --data.batch_size 8 --data.image_size [24,24]"
QUIET = "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"


def run(command: str) -> int:
    return main(command.split())


@pytest.mark.slow
def test_the_table_of_the_docs_is_the_one_that_is_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("backbones") == 0
    printed = capsys.readouterr().out.strip()
    assert len(printed.splitlines()) == len(list_backbones()) + 2
    assert printed in (Path(__file__).parents[2] / "docs" / "backbones.md").read_text()


def test_one_backbone_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("backbones resnet18-small --in_channels 1 --size 28 28") == 0
    lines = capsys.readouterr().out.splitlines()
    # By hand: 0.45 + 115.6 + 102.8 + 102.8 + 134.2 (of 4 x 4 places).
    assert lines[0] == "resnet18-small: 11.2 M parameters, 456 M multiply-adds for 1 x 28 x 28"
    assert len([line for line in lines if "█" in line]) == 4
    assert "28 x 28" in lines[3]


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("backbones cnn --size 33 20 --json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "cnn"
    assert [(one["stride"], one["height"], one["width"]) for one in found["maps"]] == [
        (1, 33, 20),
        (2, 17, 10),
        (4, 9, 5),
        (8, 5, 3),
    ]


def test_a_model_of_timm_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("backbones timm/test_resnet") == 0
    assert "timm/test_resnet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("backbones resnet81", "error: There is no backbone 'resnet81'. Did you mean 'resnet18'"),
        ("backbones timm/resnett18", "Did you mean 'resnet18'"),
        ("backbones cnn --size 0 5", "error: --size is [0, 5]"),
    ],
)
def test_wrong_input_gives_a_message(command: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    assert message in capsys.readouterr().err


def test_what_has_published_weights() -> None:
    published = {name for name in list_backbones() if published_weights(name)}
    resnets = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)}
    vggs = {f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "-bn")}
    assert published == resnets | vggs | {"alexnet", "googlenet-torchvision", "inception_v3"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_backbone_by_its_class(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_backbone_on_the_command_line.py").write_text(
        "import torch\n"
        "from visiontasks import Backbone\n"
        "class Mine(Backbone):\n"
        "    def __init__(self, filters: int = 4):\n"
        "        super().__init__()\n"
        "        self.channels, self.strides = (filters,), (2,)\n"
        "        self.conv = torch.nn.Conv2d(3, filters, 3, stride=2, padding=1)\n"
        "    def forward(self, images):\n"
        "        return [self.conv(images).relu()]\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    backbone = "--model.backbone my_backbone_on_the_command_line.Mine --model.backbone.filters 6"
    assert run(f"fit {backbone} {DATA} {QUIET} --trainer.max_epochs 1") == 0
    last = "runs/fit/version_0/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["state_dict"]["backbone.conv.weight"].shape == (6, 3, 3, 3)
    assert run(f"test --ckpt_path {last} {backbone} {DATA} {QUIET}") == 0
    assert run("fit --config runs/fit/version_0/config.yaml") == 0


def test_a_wrapped_network_with_its_class_nested(folder: Path) -> None:
    value = {
        "class_path": "visiontasks.backbones.WrappedBackbone",
        "init_args": {
            "module": {"class_path": "torchvision.models.mobilenet_v3_small"},
            "nodes": ["features.1", "features.3"],
        },
    }
    backbone = ["--model.backbone", json.dumps(value)]
    assert main(["fit", *backbone, *f"{DATA} {QUIET} --trainer.max_epochs 1".split()]) == 0
    last = "runs/fit/version_0/checkpoints/last.ckpt"
    assert main(["test", "--ckpt_path", last, *backbone, *f"{DATA} {QUIET}".split()]) == 0


def test_a_model_of_timm_by_name(folder: Path) -> None:
    assert run(f"fit --model.backbone timm/test_resnet {DATA} {QUIET} --trainer.max_epochs 1") == 0
    assert run(f"test --ckpt_path runs/fit/version_0/checkpoints/last.ckpt {DATA} {QUIET}") == 0


def test_filters_are_drawn_from_the_command_line(folder: Path) -> None:
    callback = "--trainer.callbacks+=visiontasks.callbacks.filters.FilterImages"
    assert run(f"fit {callback} {DATA} {QUIET} --trainer.max_epochs 1") == 0
    assert {path.name for path in folder.rglob("filters/*.png")} == {"epoch_0.png", "activations_epoch_0.png"}
