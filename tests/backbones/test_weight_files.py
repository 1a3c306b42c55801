import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from visiontasks.backbones.weight_files import read_weights_file
from visiontasks.errors import ArgumentError, CheckpointError


def read(path: str | Path) -> Any:  # noqa: ANN401 - a source of weights
    return read_weights_file(path, "backbone_weights", "'imagenet', or a file")


@pytest.mark.parametrize(("content", "found"), [({"epoch": 3}, r"\['epoch'\]"), ([1], "list"), ({}, "dict")])
def test_a_file_without_weights_is_an_error(content: object, found: str, save: Callable[[Any], Path]) -> None:
    with pytest.raises(CheckpointError, match=rf"weights.pt' holds no weights: .*, found {found}\."):
        read(save(content))


@pytest.mark.parametrize("name", ["imagnet", "gone.pt", "/gone/"])
def test_a_file_that_does_not_exist_is_named(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"backbone_weights is '{name}', and there is no such file. Expected 'imag"):
        read(name)


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=rf"'{tmp_path}', and that folder holds no checkpoint, nor model\.safet"):
        read(tmp_path)


def test_tensors_of_nested_dictionaries_have_all_names_in_front(save: Callable[[Any], Path]) -> None:
    path = save({"epoch": 3, "model": {"net": {"weight": torch.ones(2)}, "bias": torch.zeros(2)}})
    source = read(path)
    assert list(source.weights) == ["model.net.weight", "model.bias"]
    assert source.contents["epoch"] == 3
    assert (source.normalization, source.architecture) == (None, None)


@pytest.mark.parametrize(
    ("config", "normalization"),
    [
        ({"pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}}, "unit"),
        ({"pretrained_cfg": {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}}, "imagenet"),
        ({"mean": [0.1, 0.2, 0.3], "std": [1, 1, 1]}, {"mean": [0.1, 0.2, 0.3], "std": [1.0, 1.0, 1.0]}),
        ({"pretrained_cfg": {"mean": "grey"}}, None),
        ([], None),
    ],
)
def test_the_configuration_beside_a_file_says_what_pixels_it_expects(
    config: object, normalization: object, tmp_path: Path
) -> None:
    safetensors.torch.save_file({"weight": torch.arange(3.0)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    for path in (tmp_path, tmp_path / "model.safetensors"):
        source = read(path)
        assert torch.equal(source.weights["weight"], torch.arange(3.0))
        assert source.normalization == normalization


def test_the_file_says_its_architecture(save: Callable[[Any], Path]) -> None:
    path = save({"arch": "resnet18", "weight": torch.ones(1)})
    assert read(path).architecture == "resnet18"
    path.with_name("config.json").write_text(json.dumps({"architecture": "resnet34"}))
    assert read(path).architecture == "resnet34"


def test_a_configuration_that_cannot_be_read_says_nothing(save: Callable[[Any], Path]) -> None:
    path = save({"weight": torch.ones(1)})
    path.with_name("config.json").write_text("{")
    assert read(path).normalization is None


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_half_a_file_of_safetensors_is_an_error(name: str, tmp_path: Path) -> None:
    whole = safetensors.torch.save({"weight": torch.arange(300.0)})
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=rf"{name}' is damaged or no file of safetensors"):
        read(tmp_path / name)


def test_the_content_says_the_format_whatever_the_name(tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(safetensors.torch.save({"weight": torch.arange(3.0)}))
    torch.save({"weight": torch.arange(3.0)}, tmp_path / "weights.safetensors")
    for name in ("weights.pth", "weights.safetensors"):
        assert torch.equal(read(tmp_path / name).weights["weight"], torch.arange(3.0))
