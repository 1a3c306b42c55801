"""visiontasks backbones, and backbones of one's own on the command line."""

import json
from pathlib import Path

import pytest
import torch

from visiontasks import list_backbones
from visiontasks.backbones.summary import BackboneSummary, MapSummary
from visiontasks.cli import main
from visiontasks.cli.backbones import published_weights, table

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


def test_a_table_has_a_row_for_each_backbone() -> None:
    maps = [MapSummary(2, 16, 112, 112, 9_996, 31), MapSummary(4, 32, 56, 56, 0, None)]
    summaries = [BackboneSummary("vgg11", 9_220_480, 999, maps), BackboneSummary("own", 7, 1_500_000_000, maps[:1])]
    assert table(summaries, (32, 48)).splitlines() == [
        "| name  | parameters | multiply-adds at 32x48 | strides | channels | receptive field | weights       |",
        "|-------|-----------:|-----------------------:|---------|----------|----------------:|---------------|",
        "| vgg11 |     9.22 M |                    999 | 2 4     | 16 32    |     whole image | IMAGENET1K_V1 |",
        "| own   |          7 |                 1.50 G | 2       | 16       |              31 | -             |",
    ]


def test_bars_show_parameters_and_fields_of_the_maps(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []
    maps = [
        MapSummary(2, 16, 5, 6, 8_000, 12),
        MapSummary(4, 32, 3, 3, 2_000, 36),
        MapSummary(8, 64, 2, 2, 1, None),
        MapSummary(16, 64, 1, 1, None, 1),
    ]

    def summarized(*given: object) -> BackboneSummary:
        asked.append(given)
        return BackboneSummary("own", 10_001, 5, maps)

    monkeypatch.setattr("visiontasks.cli.backbones.summarize", summarized)
    assert run("backbones own --in_channels 2 --size 10 24") == 0
    assert asked == [("own", 2, (10, 24))]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "own: 10.0 k parameters, 5 multiply-adds for 2 x 10 x 24"
    full, half, quarter, least = "█" * 24, "█" * 12, "█" * 6, "▏"
    assert lines[3:7] == [
        f"     2        16      5 x 6      8.00 k  {full:24}           12  {half}",
        f"     4        32      3 x 3      2.00 k  {quarter:24}           36  {full}",
        f"     8        64      2 x 2           1  {least:24}  whole image  {full}",
        f"    16        64      1 x 1           0  {'':24}            1  █",
    ]
    assert lines[-1].endswith("a full bar is the width of the image, 24.")
