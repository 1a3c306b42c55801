from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visiontasks import ClassificationTask
from visiontasks.arguments import noted_arguments, noting, plain

SMALL = {"filters": (4,), "depth": 1}


class Colour(StrEnum):
    RED = "red"


class Base:
    @noting
    def __init__(self, size: int, width: int = 2, *, depth: int = 3, height: int = 4) -> None:
        self.arguments = noted_arguments(self)


class Open(Base):
    @noting
    def __init__(self, *args: Any, colour: str = "red", **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, height=9, **kwargs)


class Closed(Base):
    @noting
    def __init__(self, size: int) -> None:
        super().__init__(size, width=7)


def test_all_arguments_and_defaults_are_noted_by_name() -> None:
    assert Base(1, depth=5).arguments == {"size": 1, "width": 2, "depth": 5, "height": 4}


def test_what_a_subclass_passes_on_is_noted_with_the_defaults_of_its_base() -> None:
    assert Open(1, depth=5).arguments == {"size": 1, "width": 2, "depth": 5, "colour": "red"}


def test_what_a_subclass_chooses_for_its_base_is_not_noted() -> None:
    assert Closed(1).arguments == {"size": 1}
    for instance in (Base(1), Open(1, 5), Closed(3)):
        again = type(instance)(**instance.arguments)
        assert again.arguments == instance.arguments


def test_a_later_default_changes_no_earlier_task() -> None:
    class Smoothed(ClassificationTask):
        def __init__(self, smoothing: float = 0.1, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
            super().__init__(label_smoothing=smoothing, **kwargs)

    hparams = Smoothed(num_classes=3, backbone_options=SMALL).hparams
    assert hparams["normalization"] == "imagenet"
    assert hparams["dropout"] == 0.0
    assert hparams["smoothing"] == 0.1
    assert "label_smoothing" not in hparams


def test_plain_values_stay_as_they_are() -> None:
    value = {"a": (1, [2.5, None]), "b": Path("x/y"), "c": torch.eye(2), "d": True, "e": {"f": "g"}}
    assert plain(value) == {"a": (1, [2.5, None]), "b": "x/y", "c": [[1, 0], [0, 1]], "d": True, "e": {"f": "g"}}
    others: list[tuple[object, object]] = [(np.int64(4), 4), (np.arange(2), [0, 1]), (Colour.RED, "red")]
    for given, expected in [*others, (np.bool_(True), True)]:
        assert plain(given) == expected
        assert type(plain(given)) is type(expected)
    with pytest.raises(TypeError, match="Conv2d is not a plain value"):
        plain({"a": [torch.nn.Conv2d(1, 1, 1)]})
