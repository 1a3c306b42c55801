import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from visiontasks import create_backbone
from visiontasks.backbones.summary import summarize


def test_the_figures_are_those_of_the_backbone() -> None:
    summary = summarize("resnet18", in_channels=1, size=(97, 131))
    backbone = create_backbone("resnet18", in_channels=1)
    assert summary.parameters == sum(parameter.numel() for parameter in backbone.parameters())
    assert sum(one.parameters or 0 for one in summary.maps) == summary.parameters
    assert summary.maps[1].parameters == sum(value.numel() for value in backbone.get_submodule("layer1").parameters())
    features = backbone(torch.zeros(1, 1, 97, 131))
    assert [(one.channels, one.height, one.width) for one in summary.maps] == [tuple(x.shape[1:]) for x in features]
    assert [one.receptive_field for one in summary.maps] == [7, 43, 99, 211, 435]


def test_multiply_adds_are_what_the_convolutions_do() -> None:
    counted: list[int] = []
    network = torchvision.models.resnet18().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(
                lambda module, _, output: counted.append(output[0].numel() * module.weight[0].numel())
            )
    with torch.no_grad(), FlopCounterMode(display=False):
        network(torch.zeros(1, 3, 224, 224))
    assert summarize("resnet18", brief=True).multiply_adds == sum(counted)


def test_a_brief_summary_leaves_out_what_takes_long() -> None:
    brief, full = summarize("cnn", brief=True), summarize("cnn")
    assert brief._replace(maps=[]) == full._replace(maps=[])
    assert [one.receptive_field for one in brief.maps] == [None, None, None, full.maps[-1].receptive_field]
    assert all(one.parameters is None for one in brief.maps)
