import math
from typing import Any

import pytest
import timm

from visiontasks.backbones.pretrained_config import expected_pixels


def test_every_configuration_of_timm_is_understood() -> None:
    for name in timm.list_pretrained():
        config: dict[str, Any] = {key: timm.get_pretrained_cfg_value(name, key) for key in ("mean", "std")}
        found = expected_pixels(config)
        if isinstance(found, dict):
            assert (found["mean"], found["std"]) == (list(config["mean"]), list(config["std"]))
        else:
            assert found == {0.485: "imagenet", 0.5: "unit"}[config["mean"][0]]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"mean": [0.5]},
        {"mean": [0.5], "std": [0.0]},
        {"mean": [0.5, 0.5], "std": [0.5]},
        {"mean": [], "std": []},
        {"mean": "grey", "std": "grey"},
        {"mean": [math.nan], "std": [1.0]},
        {"mean": ["a"], "std": [1.0]},
    ],
)
def test_what_is_no_configuration_says_nothing(config: dict[str, Any]) -> None:
    assert expected_pixels(config) is None
