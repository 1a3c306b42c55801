import argparse
import collections
import datetime
import enum
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from visiontasks.backbones.foreign_values import find_tensors, values_left_out
from visiontasks.errors import CheckpointError
from visiontasks.serialization import load_file


def read(contents: object) -> Any:  # noqa: ANN401 - whatever was saved
    file = io.BytesIO()
    torch.save(contents, file)
    with values_left_out(file):
        return load_file(file)


class Note:
    """Takes down that it was made, which no reading of a file may do."""

    made: int = 0

    def __new__(cls) -> "Note":
        cls.made += 1
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        Note.made += 1


class Mapped(dict[str, Any]):
    """A dictionary of a class of its own, as configurations are."""


def test_values_of_other_programs_are_left_out_and_their_classes_never_made() -> None:
    contents = {
        "model": {"weight": torch.arange(3.0)},
        "args": argparse.Namespace(lr=0.1),
        "best": np.float64(3.5),
        "scores": np.arange(4),
        "path": Path("a/b"),
        "day": datetime.date(2026, 1, 1),
        "counts": collections.defaultdict(list, {"a": [1]}),
        "note": Note(),
        "config": Mapped(state=Mapped(bias=torch.ones(2))),
    }
    made = Note.made
    tensors = find_tensors(read(contents))
    assert Note.made == made
    assert list(tensors) == ["model.weight", "config.state.bias"]
    assert torch.equal(tensors["model.weight"], torch.arange(3.0))


class Call:
    """Calls a function when it is read."""

    def __init__(self, function: Any, *arguments: object) -> None:  # noqa: ANN401 - any
        self.call = (function, arguments)

    def __reduce__(self) -> Any:  # noqa: ANN401 - what pickle takes
        return self.call


class Kind(enum.Enum):
    """Is made by a call of its class."""

    ONE = 1


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (Call(os.system, "echo ran > ran"), "posix.system"),
        (Call(print, "ran"), "print"),
        (Call(eval, "open('ran', 'w')"), "eval"),
        (Call(getattr, Call(__import__, "os"), "remove"), "__import__|getattr"),
        (Kind.ONE, "Kind"),
    ],
)
def test_a_file_that_calls_anything_is_refused(
    value: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=rf"holds \S*({name})\S* beside tensors .* could run code"):
        read({"weight": torch.ones(1), "value": value})
    assert not list(tmp_path.iterdir())
    assert not capsys.readouterr().out


def test_what_torch_reads_by_default_afterwards_is_as_before() -> None:
    before = set(torch.serialization.get_safe_globals())
    read({"args": argparse.Namespace(lr=0.1), "weight": torch.ones(1)})
    assert set(torch.serialization.get_safe_globals()) == before


def test_tensors_of_a_module_that_was_saved_whole_have_their_names() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.ReLU()))
    tensors = find_tensors(read({"net": network}))
    expected = {f"net.{key}": value for key, value in network.state_dict().items()}
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in tensors.items())
    assert not any(value.requires_grad for value in tensors.values())
