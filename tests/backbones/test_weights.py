"""Torchvision's models lend their names and shapes; their weights are random, and no test reaches the network."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.backbones.states import equal, torchvision_state
from visiontasks import ClassificationTask, create_backbone
from visiontasks.backbones import Backbone
from visiontasks.backbones.weights import load_weights, read_weights
from visiontasks.errors import CheckpointError


@pytest.mark.parametrize("form", ["backbone", "compiled", "task", "checkpoint", "compiled checkpoint", "half"])
def test_files_of_our_own_load(form: str, save: Callable[[Any], Path]) -> None:
    options: dict[str, Any] = {"filters": [4, 6], "depth": 1}
    task = ClassificationTask(5, backbone_options=options)
    for value in task.backbone.state_dict().values():
        value.copy_(torch.randint(9, value.shape))
    state = task.state_dict()
    wrapped = {key.replace("backbone.", "backbone._orig_mod."): value for key, value in state.items()}
    contents = {
        "backbone": task.backbone.state_dict(),
        "compiled": {f"_orig_mod.{key}": value for key, value in task.backbone.state_dict().items()},
        "task": state,
        "checkpoint": {"state_dict": state, "epoch": 3},
        "compiled checkpoint": {"state_dict": wrapped, "epoch": 3},
        "half": {key: value.half() for key, value in state.items()},
    }
    backbone = create_backbone("cnn", **options)
    report = load_weights(backbone, read_weights(save(contents[form])))
    assert equal(backbone.state_dict(), task.backbone.state_dict())
    left_out = {key.removeprefix("state_dict.") for keys in report.left_out.values() for key in keys}
    expected = set() if form in {"backbone", "compiled"} else {key for key in state if not key.startswith("backbone.")}
    assert left_out == expected


def test_the_report_says_what_was_left_out_and_why(
    save: Callable[[Any], Path], caplog: pytest.LogCaptureFixture
) -> None:
    state = ClassificationTask(5, backbone_options={"filters": [4], "depth": 1}).state_dict()
    path = save({"state_dict": state})
    with caplog.at_level("INFO"):
        report = load_weights(create_backbone("cnn", 1, filters=(4,), depth=1), read_weights(path))
    assert report.left_out["what belongs to no backbone"][-2:] == [
        "state_dict.decision.temperature",
        "state_dict.decision.thresholds",
    ]
    assert caplog.messages == [
        f"Backbone weights: all 6 tensors (arrays of numbers) are from '{path}', where their names begin with "
        "'state_dict.backbone.'; "
        "stages.0.0.conv.weight adapted from 3 to 1 channels.\n  Left out what belongs to no backbone: "
        "state_dict.normalize (3 tensors), state_dict.head (2 tensors), state_dict.decision (2 tensors)."
    ]


class Nested(Backbone):
    """Has a part that is called as a task calls its backbone."""

    channels, strides = (4,), (2,)

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.backbone(images)]


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_part_named_backbone_is_no_task(prefix: str, save: Callable[[Any], Path]) -> None:
    state = Nested().state_dict()
    backbone = Nested()
    load_weights(backbone, read_weights(save({f"{prefix}{key}": value for key, value in state.items()})))
    assert equal(backbone.state_dict(), state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("missing", "  layer3.0.conv1.weight: not in the source\n"),
        ("shape", r"  layer3.0.conv1.weight: \[4, 2\] in the source, \[256, 128, 3, 3\] in the backbone\n"),
        ("more", "  layer3.9.weight: not in the backbone\n"),
        ("first", r"  conv1.weight: \[64, 5, 7, 7\] in the source, \[64, 3, 7, 7\] in the backbone\n"),
    ],
)
def test_a_mismatch_lists_the_keys_and_copies_nothing(change: str, message: str, save: Callable[[Any], Path]) -> None:
    state = torchvision_state("resnet18")
    key = "layer3.0.conv1.weight"
    changes = {"shape": (key, (4, 2)), "more": ("layer3.9.weight", (1,)), "first": ("conv1.weight", (64, 5, 7, 7))}
    if change == "missing":
        del state[key]
    else:
        changed, shape = changes[change]
        state[changed] = torch.zeros(shape)
    backbone = create_backbone("resnet18")
    before = copy.deepcopy(backbone.state_dict())
    with pytest.raises(CheckpointError, match=message):
        load_weights(backbone, read_weights(save(state)))
    assert equal(backbone.state_dict(), before)
