"""Two runs compared: what each has left in its folder."""

import csv
from pathlib import Path
from typing import Any

import torch

from visiontasks.runs import newest_checkpoint


def state_of(run: Path) -> dict[str, Any]:
    """Weights, optimiser and schedules in the newest checkpoint of a run folder."""
    checkpoint = newest_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.name == "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    assert not list(checkpoint.parent.glob(".*")), "unfinished files are left"
    return {name: content[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")}


def rows_of(run: Path) -> list[dict[str, str]]:
    """The rows of ``metrics.csv``, without what is not in them."""
    with (run / "metrics.csv").open() as file:
        return [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]


def assert_equal(one: Any, other: Any, name: str = "") -> None:  # noqa: ANN401 - nested values of any kind
    """Compare nested values; tensors bit by bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key, value in one.items():
            assert_equal(value, other[key], f"{name}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), name
        for index, (first, second) in enumerate(zip(one, other, strict=True)):
            assert_equal(first, second, f"{name}.{index}")
    else:
        assert one == other, name
