"""The forms that published weights come in, with the real names of those who publish them."""

import argparse
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from tests.backbones.states import State, behind, equal, numbered
from visiontasks import create_backbone
from visiontasks.backbones import Backbone, WrappedBackbone
from visiontasks.backbones.weights import LoadReport, load_weights, read_weights

NETWORK = numbered(torchvision.models.resnet18)
"""Torchvision's names and ours; timm, MoCo, DINO and others have the same behind names of their own."""
OTHER = {key: value + 0.5 for key, value in NETWORK.items()}
HEADLESS = {key: value for key, value in NETWORK.items() if not key.startswith("fc.")}
OTHER_HEADLESS = {key: OTHER[key] for key in HEADLESS}
WHAT_IS_PLAIN = {"epoch": 3, "arch": "resnet18", "optimizer": {"state": {0: {"momentum_buffer": torch.ones(3)}}}}


class Settings:
    """An object of a program that is not here when the file is read."""

    def __init__(self) -> None:
        self.rate = 0.1


def children(network: nn.Module) -> State:
    """Name the parts of a network by numbers, as PyTorch Lightning's SimCLR, lightly and fastai save them."""
    numbers = {name: str(number) for number, (name, _) in enumerate(network.named_children())}
    names = {key: f"{numbers[key.partition('.')[0]]}.{key.partition('.')[2]}" for key in HEADLESS}
    return {names[key]: value for key, value in HEADLESS.items()}


def whole() -> nn.Module:
    with torch.device("meta"):
        network: nn.Module = torchvision.models.resnet18()
    network.load_state_dict(NETWORK, assign=True)
    return network


FORMS: dict[str, Callable[[], Any]] = {
    "torchvision": lambda: NETWORK,
    "without a head": lambda: HEADLESS,
    "DDP": lambda: behind("module.", NETWORK),
    "compiled": lambda: behind("_orig_mod.", NETWORK),
    "DDP of a compiled network": lambda: behind("module._orig_mod.", NETWORK),
    "parts that are compiled": lambda: {
        key.replace("layer2.", "layer2._orig_mod.").replace("layer3.0.", "layer3.0._checkpoint_wrapped_module."): value
        for key, value in NETWORK.items()
    },
    "FSDP": lambda: behind(
        "_fsdp_wrapped_module.", {k.replace(".0.", ".0._fsdp_wrapped_module."): v for k, v in NETWORK.items()}
    ),
    "torchvision's reference scripts": lambda: {
        "model": OTHER,
        "model_ema": {"n_averaged": torch.tensor(9), **behind("module.", NETWORK)},
        "lr_scheduler": {"last_epoch": 3},
        "args": argparse.Namespace(model="resnet18", lr=0.1),
        **WHAT_IS_PLAIN,
    },
    "timm's training script": lambda: {
        "state_dict": OTHER,
        "state_dict_ema": NETWORK,
        "args": argparse.Namespace(model="resnet18"),
        "metric": np.float64(71.3),
        **WHAT_IS_PLAIN,
    },
    "ema_state_dict": lambda: {"state_dict": OTHER, "ema_state_dict": NETWORK},
    "Lightning": lambda: {
        "state_dict": {**behind("model.", NETWORK), "criterion.weight": torch.ones(5)},
        "hyper_parameters": {"lr": 0.1, "settings": Settings()},
        "pytorch-lightning_version": "2.1.0",
        "callbacks": {"ModelCheckpoint": {"best_model_path": Path("a.ckpt"), "best_model_score": torch.ones(())}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
    },
    "Lightning around a compiled DDP network": lambda: {
        "state_dict": behind("net.module._orig_mod.encoder.", HEADLESS)
    },
    "segmentation_models.pytorch": lambda: {
        **behind("encoder.", HEADLESS),
        "decoder.blocks.0.conv1.0.weight": torch.ones(4, 4, 3, 3),
        "segmentation_head.0.weight": torch.ones(4, 4, 3, 3),
    },
    "torchvision's detector": lambda: {
        **behind("backbone.body.", HEADLESS),
        "backbone.fpn.inner_blocks.0.0.weight": torch.ones(4, 4, 1, 1),
        "roi_heads.box_predictor.cls_score.bias": torch.ones(3),
    },
    "MoCo v2": lambda: {
        "state_dict": {
            **behind(
                "module.encoder_q.", {**NETWORK, "fc.0.weight": torch.ones(4, 4), "fc.2.weight": torch.ones(4, 4)}
            ),
            **behind("module.encoder_k.", OTHER),
            "module.queue": torch.ones(4, 8),
            "module.queue_ptr": torch.ones(1),
        },
        **WHAT_IS_PLAIN,
    },
    "MoCo v3": lambda: {
        "state_dict": {
            **behind("module.base_encoder.", NETWORK),
            **behind("module.momentum_encoder.", OTHER),
            "module.predictor.0.weight": torch.ones(4, 4),
        }
    },
    "SimSiam": lambda: {
        "state_dict": {**behind("module.encoder.", NETWORK), "module.predictor.0.weight": torch.ones(4)}
    },
    "Barlow Twins": lambda: {
        "model": {**behind("module.backbone.", HEADLESS), "module.projector.0.weight": torch.ones(4)}
    },
    "DINO": lambda: {
        "student": {**behind("module.backbone.", OTHER_HEADLESS), "module.head.mlp.0.weight": torch.ones(4, 4)},
        "teacher": {**behind("backbone.", HEADLESS), "head.mlp.0.weight": torch.ones(4, 4)},
        "dino_loss": {"center": torch.ones(1, 8)},
        "args": argparse.Namespace(arch="resnet18", out_dim=8),
        "epoch": 3,
    },
    "SwAV": lambda: {**behind("module.", HEADLESS), "module.prototypes.weight": torch.ones(4, 4)},
    "SparK": lambda: {
        "module": {
            **behind("sparse_encoder.sp_cnn.", HEADLESS),
            "dense_decoder.dec.0.up_sample.weight": torch.ones(4, 4, 4, 4),
            "mask_tokens.0": torch.ones(1, 4, 1, 1),
        },
        "args": "Namespace(...)",
        "is_pretrain": True,
        **WHAT_IS_PLAIN,
    },
    "a sequence of its parts": lambda: behind("backbone.", children(whole())),
    "a module saved whole": whole,
    "a checkpoint with a module saved whole": lambda: {"model": whole(), "epoch": 3},
}


@cache
def emptied(name: str) -> Backbone:
    """Make a backbone once for all forms: what is not loaded into it stays -1."""
    return create_backbone(name)


def loaded_from(path: Path, name: str = "resnet18") -> tuple[State, LoadReport]:
    backbone = emptied(name)
    for value in backbone.state_dict().values():
        value.fill_(-1)
    report = load_weights(backbone, read_weights(path))
    return backbone.state_dict(), report


@pytest.mark.parametrize("form", FORMS)
def test_weights_of_every_form_load_exactly(form: str, save: Callable[[Any], Path]) -> None:
    state, report = loaded_from(save(FORMS[form]()))
    assert equal(state, HEADLESS)
    assert len(str(report).splitlines()) <= 4, "a few lines"


def test_a_file_of_the_format_before_torch_1_6_loads(tmp_path: Path) -> None:
    torch.save({"state_dict": NETWORK}, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    assert equal(loaded_from(tmp_path / "old.pth.tar")[0], HEADLESS)


def test_what_was_matched_and_left_out_is_said_in_a_few_lines(save: Callable[[Any], Path]) -> None:
    path = save(FORMS["MoCo v2"]())
    assert str(loaded_from(path)[1]).splitlines() == [
        f"Backbone weights: all 120 tensors (arrays of numbers) are from '{path}', where their names begin with "
        "'state_dict.module.encoder_q.'.",
        "  Left out layers behind the backbone, in whose place this task trains its own: "
        "state_dict.module.encoder_q.fc (4 tensors).",
        "  Left out another copy of these weights: state_dict.module.encoder_k (122 tensors).",
        "  Left out what belongs to no backbone: state_dict.module.queue (1 tensor), "
        "state_dict.module.queue_ptr (1 tensor), optimizer (1 tensor).",
    ]


def facebook_names(state: State) -> State:
    """Name the tensors of timm's ConvNeXt V2 as its authors do, whose layers of 1 x 1 are linear."""
    renamed = {}
    for key, value in state.items():
        name = key.replace("stem.", "downsample_layers.0.").replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        name = name.replace("mlp.grn.weight", "grn.gamma").replace("mlp.grn.bias", "grn.beta").replace(".blocks", "")
        for stage in "123":
            name = name.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
        renamed[name] = (
            value[None, None, None]
            if "grn" in name
            else value.flatten(1)
            if value.ndim == 4 and "pwconv" in name
            else value
        )
    return renamed


@pytest.mark.parametrize("form", ["timm", "DDP", "masked autoencoder of its authors", "CLIP"])
def test_names_that_timm_changes_where_it_cuts_a_network_load_exactly(form: str, save: Callable[[Any], Path]) -> None:
    state = numbered(partial(timm.create_model, "convnextv2_atto"))
    without = {key: value for key, value in state.items() if not key.startswith("head.")}
    contents = {
        "timm": state,
        "DDP": {"model": behind("module.", state)},
        "masked autoencoder of its authors": {"model": facebook_names(without)},
        "CLIP": {**behind("visual.trunk.", without), "text.token_embedding.weight": torch.ones(4, 4)},
    }
    ours, _ = loaded_from(save(contents[form]), "timm/convnextv2_atto")
    # Their order is the same; a point of theirs may be an underscore of ours.
    assert all(torch.equal(*pair) for pair in zip(ours.values(), without.values(), strict=True))


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "tf_efficientnet_lite0"])
def test_a_state_dict_of_timm_loads_exactly(name: str, save: Callable[[Any], Path]) -> None:
    state = numbered(partial(timm.create_model, name))
    options = {"dynamic_img_size": True} if "vit" in name else {}
    backbone = create_backbone(f"timm/{name}", **options)
    load_weights(backbone, read_weights(save(state)))
    prefix = "model.model." if "vit" in name else "model."
    assert all(torch.equal(value, state[key.removeprefix(prefix)]) for key, value in backbone.state_dict().items())


@pytest.mark.parametrize("form", ["file", "folder", "folder with a pickle"])
def test_safetensors_and_folders_of_hugging_face_load_exactly(form: str, tmp_path: Path) -> None:
    state = {key: value.clone() for key, value in numbered(partial(timm.create_model, "test_resnet")).items()}
    if form == "folder with a pickle":
        torch.save(state, tmp_path / "pytorch_model.bin")
    else:
        safetensors.torch.save_file(state, tmp_path / "model.safetensors")
    config = {"architecture": "test_resnet", "pretrained_cfg": {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    path = tmp_path / "model.safetensors" if form == "file" else tmp_path
    ours, _ = loaded_from(path, "timm/test_resnet")
    assert all(torch.equal(value, state[key.removeprefix("model.")]) for key, value in ours.items())
    assert read_weights(path).normalization == config["pretrained_cfg"]


def test_parts_of_a_wrapped_network_that_were_cut_are_left_out(save: Callable[[Any], Path]) -> None:
    network = torchvision.models.mobilenet_v3_small()
    state = numbered(torchvision.models.mobilenet_v3_small)
    backbone = WrappedBackbone(network, ["features.0", "features.1", "features.3", "features.8"])
    report = load_weights(backbone, read_weights(save({"model": state})))
    assert all(torch.equal(value, state[key.removeprefix("module.")]) for key, value in backbone.state_dict().items())
    left_out = {key.split(".")[1] for keys in report.left_out.values() for key in keys}
    assert left_out == {"features", "classifier"}
