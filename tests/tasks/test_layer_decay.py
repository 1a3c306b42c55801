"""Learning rates by depth, against lists by hand."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from tests.tasks.test_unfreezing import Notes
from visiontasks import Backbone, ClassificationBatch, ClassificationTask, DetectionTask
from visiontasks.backbones import WrappedBackbone
from visiontasks.errors import ArgumentError
from visiontasks.tasks.layer_decay import layers_by_map

Fit = Callable[..., Trainer]

SMALL: dict[str, Any] = {"filters": (4, 6, 8), "depth": 1}


def rates_by_name(task: ClassificationTask | DetectionTask, optimizer: Any) -> dict[str, float]:  # noqa: ANN401 (any optimiser)
    rates = {id(value): group["lr"] for group in optimizer.param_groups for value in group["params"]}
    return {name: rates[id(value)] for name, value in task.named_parameters() if id(value) in rates}


def optimizer_of(task: ClassificationTask | DetectionTask) -> Any:  # noqa: ANN401 (any optimiser)
    return task._setup.make_optimizer(task._optimizer or (lambda p: SGD(p, lr=1.0, weight_decay=0.1)), task)


def test_the_rates_of_a_residual_network_are_those_of_a_list_by_hand() -> None:
    task = ClassificationTask(3, backbone="resnet18", layer_decay=0.5)
    expected = {
        "backbone.conv1": 1 / 32,
        "backbone.bn1": 1 / 32,
        "backbone.layer1": 1 / 16,
        "backbone.layer2": 1 / 8,
        "backbone.layer3": 1 / 4,
        "backbone.layer4": 1 / 2,
        "head": 1.0,
    }
    optimizer = optimizer_of(task)
    rates = rates_by_name(task, optimizer)
    assert len(rates) == len(list(task.parameters()))
    for name, rate in rates.items():
        (listed,) = [value for prefix, value in expected.items() if name.startswith(f"{prefix}.")]
        assert rate == listed, name
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (0.1 if group["params"][0].ndim > 1 else 0.0)
        assert len({value.ndim > 1 for value in group["params"]}) == 1


def test_pyramid_and_heads_of_a_detector_keep_the_whole_rate() -> None:
    task = DetectionTask(2, backbone="cnn", backbone_options=SMALL, fpn_width=8, head_width=8, layer_decay=0.5)
    rates = rates_by_name(task, optimizer_of(task))
    outside = {name: rate for name, rate in rates.items() if not name.startswith("backbone.")}
    assert len(outside) > 10
    assert set(outside.values()) == {1.0}
    # The last of the four maps is that of a pooling, which has no weights.
    assert [rates[f"backbone.stages.{stage}.0.conv.weight"] for stage in range(3)] == [1 / 8, 1 / 4, 1 / 2]


@pytest.mark.filterwarnings("ignore:freeze is .* random weights:UserWarning")
def test_it_composes_with_freezing_factor_and_warm_up(fit: Fit, batch: ClassificationBatch) -> None:
    notes = Notes()
    options: dict[str, Any] = {"freeze": 1, "backbone_lr_factor": 0.1, "warmup": 0.5, "optimizer": partial(SGD, lr=1.0)}
    task = ClassificationTask(3, backbone_options=SMALL, layer_decay=0.5, **options)
    trainer = fit(task, [batch] * 4, max_epochs=1, callbacks=[notes])
    for head, *others in notes.rates:
        assert sorted(others) == pytest.approx([0.1 * head / 4, 0.1 * head / 2])  # the first stage is frozen
    held = {id(value) for group in trainer.optimizers[0].param_groups for value in group["params"]}
    assert not held & {id(value) for value in task.backbone.stage_modules()[0][0].parameters()}


class Reversed(nn.Module):
    """Two blocks whose order the names do not tell."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Conv2d(4, 6, 3, 2, 1), nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.last(self.first(images).relu())
        return x


def test_layers_of_any_network_are_those_of_its_maps() -> None:
    backbone = WrappedBackbone(Reversed(), ["first", "last"])
    backbone.freeze("all")  # what does not train has its layer, too
    names = {id(value): name for name, value in backbone.named_parameters()}
    layers = [[names[id(value)] for value in layer] for layer in layers_by_map(backbone, 3)]
    assert layers == [["module.first.weight", "module.first.bias"], ["module.last.weight", "module.last.bias"]]
    backbone.freeze("none")
    rates = rates_by_name(task := ClassificationTask(3, backbone=backbone, layer_decay=0.5), optimizer_of(task))
    assert [rates[f"backbone.module.{name}.weight"] for name in ("first", "last")] == [0.25, 0.5]


def test_blocks_of_a_transformer_are_layers() -> None:
    pytest.importorskip("timm")
    options: dict[str, Any] = {"dynamic_img_size": True, "depth": 3, "embed_dim": 12, "num_heads": 3}
    task = ClassificationTask(2, backbone="timm/vit_tiny_patch16_224", backbone_options=options, layer_decay=0.5)
    rates = rates_by_name(task, optimizer_of(task))
    network = "backbone.model.model."
    assert rates[f"{network}patch_embed.proj.weight"] == rates[f"{network}pos_embed"] == 1 / 16
    assert [rates[f"{network}blocks.{block}.mlp.fc1.weight"] for block in range(3)] == [1 / 8, 1 / 4, 1 / 2]
    assert len(rates) == len(list(task.parameters()))


class OneMap(Backbone):
    channels = (4,)
    strides = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [self.convolution(images)]


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5])
def test_a_decay_out_of_range_is_an_error(decay: float) -> None:
    with pytest.raises(ArgumentError, match=re.escape(f"layer_decay is {decay}; expected above 0 and at most 1")):
        ClassificationTask(3, backbone_options=SMALL, layer_decay=decay)


def test_where_it_makes_no_sense_it_is_refused() -> None:
    frozen = ClassificationTask(3, backbone_options=SMALL, freeze="all", layer_decay=0.5)
    with pytest.raises(ArgumentError, match=r"layer_decay is 0.5, and nothing of the backbone is trained"):
        optimizer_of(frozen)
    single = ClassificationTask(3, backbone=OneMap(), layer_decay=0.5)
    with pytest.raises(ArgumentError, match=r"OneMap does not say what its layers are .*Use backbone_lr_factor"):
        optimizer_of(single)


def test_a_schedule_that_sets_all_rates_is_an_error(fit: Fit, batch: ClassificationBatch) -> None:
    one = partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=2)
    task = ClassificationTask(3, backbone_options=SMALL, lr_scheduler=one, lr_interval="step", layer_decay=0.5)
    with pytest.raises(ArgumentError, match=r"whatever backbone_lr_factor and layer_decay are"):
        fit(task, [batch], max_epochs=1)
    scaled = partial(StepLR, step_size=1)
    fit(ClassificationTask(3, backbone_options=SMALL, lr_scheduler=scaled, layer_decay=0.5), [batch], max_epochs=1)


def test_a_checkpoint_remembers_it(fit: Fit, batch: ClassificationBatch, tmp_path: Any) -> None:  # noqa: ANN401 (a path)
    trainer = fit(ClassificationTask(3, backbone_options=SMALL, layer_decay=0.5), [batch], max_epochs=1)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert ClassificationTask.load_from_checkpoint(tmp_path / "a.ckpt").hparams["layer_decay"] == 0.5
