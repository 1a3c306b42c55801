from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision

from tests.backbones.states import behind, numbered
from visiontasks import ClassificationTask, create_backbone
from visiontasks.backbones.misfits import likely_cause
from visiontasks.backbones.weights import load_weights, read_weights
from visiontasks.errors import CheckpointError

Save = Callable[[Any], Path]


def message_of(path: Path, name: str, **options: Any) -> str:  # noqa: ANN401 - of a backbone
    backbone = create_backbone(name, **options)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(backbone, read_weights(path))
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items()), "something was copied"
    return str(caught.value)


def test_a_deeper_network_is_named_though_all_our_tensors_are_in_it(save: Save) -> None:
    path = save({"state_dict": behind("module.", numbered(torchvision.models.resnet34))})
    lines = message_of(path, "resnet18").splitlines()
    assert lines[0] == (
        f"The weights from '{path}' are not those of this ResNet; nothing was loaded. They are of another depth "
        "(layer1 has 3 blocks instead of 2)."
    )
    assert lines[1] == "  layer1.2.bn1.bias: not in the backbone"
    assert lines[10].endswith(" and 70 others")
    assert lines[11:] == ["They are those of 'resnet34': choose it as the backbone."]


def test_a_shallower_network_is_named(save: Save) -> None:
    message = message_of(save(numbered(torchvision.models.resnet18)), "resnet34")
    assert "another depth (layer1 has 2 blocks instead of 3)" in message
    assert "those of 'resnet18'" in message


def test_another_stem_is_named(save: Save) -> None:
    message = message_of(save(numbered(torchvision.models.resnet18)), "resnet18-small")
    assert "of another kind of layer (conv1.weight is [64, 3, 7, 7] instead of [64, 3, 3, 3])" in message
    assert "They are those of 'resnet18': choose it" in message


def test_another_architecture_shows_its_names(save: Save) -> None:
    message = message_of(save(numbered(torchvision.models.mobilenet_v3_small)), "resnet18")
    assert (
        "another architecture (0 of 120 names are the same; theirs are features.0.0.weight, features.0.1.weight, ...)"
        in message
    )
    assert message.endswith("Create the backbone with the name and the options that the weights were made with.")


def test_another_architecture_that_we_have_is_named(save: Save) -> None:
    message = message_of(save(behind("module.", numbered(torchvision.models.vgg11))), "resnet18")
    assert "another architecture" in message
    assert "They are those of 'vgg11': choose it as the backbone." in message


def test_what_the_file_says_is_passed_on(save: Save) -> None:
    path = save({"arch": "resnet50d", "state_dict": {"features.weight": torch.ones(1)}})
    assert message_of(path, "resnet18").endswith("The file says that they are of 'resnet50d'.")


@pytest.mark.parametrize(
    ("theirs", "cause"),
    [
        ({"filters": [6]}, "of another width (stages.0.0.conv.weight has 6 channels instead of 4)."),
        ({"filters": [4], "depth": 2}, "of another depth (stages.0 has 2 blocks instead of 1)."),
        ({"filters": [4, 8]}, "of another depth (stages has 2 blocks instead of 1)."),
    ],
)
def test_a_checkpoint_of_a_task_says_what_it_was_made_with(theirs: dict[str, Any], cause: str, save: Save) -> None:
    options = {"depth": 1, **theirs}
    task = ClassificationTask(5, backbone_options=options)
    path = save({"state_dict": task.state_dict(), "hyper_parameters": dict(task.hparams)})
    message = message_of(path, "cnn", filters=[4], depth=1)
    assert cause in message
    assert message.endswith(f"They were made with backbone='cnn', backbone_options={options}, in_channels=3.")


def test_the_nearest_model_of_timm_is_named(save: Save) -> None:
    # All that EfficientNet-Lite has is in an EfficientNet, which has more in the same blocks.
    path = save(numbered(partial(timm.create_model, "tf_efficientnet_b0")))
    message = message_of(path, "timm/tf_efficientnet_lite0")
    assert "not those of this timm/tf_efficientnet_lite0" in message
    assert "a network with more layers (model.blocks.0.0.se.conv_reduce.weight)" in message
    assert "They are those of 'timm/tf_efficientnet_b0': choose it" in message


def test_a_file_that_is_named_after_its_model_of_timm_tells_it(tmp_path: Path) -> None:
    path = tmp_path / "mobilenetv3_small_050.pth"
    torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), path)
    assert "They are those of 'timm/mobilenetv3_small_050': choose it" in message_of(path, "cnn")


def test_causes_are_told_together() -> None:
    ours = {"layer.0.weight": torch.zeros(4, 3), "layer.1.weight": torch.zeros(4, 4), "last.weight": torch.zeros(2, 4)}
    theirs = {"layer.0.weight": torch.zeros(6, 3), "last.weight": torch.zeros(2, 6)}
    assert likely_cause(ours, theirs) == (
        "another depth (layer has 1 blocks instead of 2) and of another width (layer.0.weight has 6 channels instead "
        "of 4)"
    )
    assert likely_cause(ours, {**ours, "last.bias": torch.zeros(2)}) == "a network with more layers (last.bias)"
    fewer = {key: ours[key] for key in ("layer.0.weight", "layer.1.weight")}
    assert likely_cause(ours, fewer) == "a network with fewer layers (without last.weight)"
    inputs = {**ours, "layer.0.weight": torch.zeros(4, 5)}
    assert likely_cause(ours, inputs) == "another width (layer.0.weight has 5 input channels instead of 3)"
