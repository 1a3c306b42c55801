"""Data in memory are matched and joined; a chosen split is what validation and test see."""

import logging
from typing import Any

import pytest
import torch

from visiontasks import ShapesDataModule
from visiontasks.data.datasets.shapes import CLASS_NAMES
from visiontasks.data.scoring import Trained
from visiontasks.errors import ArgumentError

OTHERS = ("star", "circle", "hexagon", "square", "triangle")


def shapes(task: Any) -> ShapesDataModule:  # noqa: ANN401 - a choice
    return ShapesDataModule(task, train_size=5, val_size=3, test_size=4, image_size=(32, 32), batch_size=16)


@pytest.mark.parametrize("task", ["classification", "localization", "detection", "segmentation"])
def test_every_kind_of_labels_is_that_of_the_checkpoint(task: str) -> None:
    own, matched = shapes(task), shapes(task)
    names = ("ground", *OTHERS[:2], "background", *OTHERS[2:]) if task == "segmentation" else OTHERS
    matched.match(Trained(names, 3, None))
    for data in (own, matched):
        data.setup("test")
    before, after = next(iter(own.test_dataloader())), next(iter(matched.test_dataloader()))
    field = "masks" if task == "segmentation" else "labels"
    labels, found = getattr(before, field), getattr(after, field)
    lookup = torch.tensor([names.index(name) for name in own.class_names])
    known = labels >= 0
    assert torch.equal(found[known].long(), lookup[labels[known].long()])
    assert torch.equal(found[~known], labels[~known])
    assert matched.class_names == names


@pytest.mark.parametrize(("split", "count"), [("train", 5), ("val", 3), ("test", 4), ("all", 12), (None, 4)])
def test_a_split_is_chosen(split: Any, count: int, caplog: pytest.LogCaptureFixture) -> None:  # noqa: ANN401 - a choice
    data = shapes("classification")
    data.match(Trained(CLASS_NAMES, 3, None), split)
    data.setup("test")
    with caplog.at_level(logging.INFO):
        batches = list(data.test_dataloader())
    assert sum(len(batch.images) for batch in batches) == count
    which = "all of them" if split == "all" else f"those for {split or 'test'}"
    assert f"Scored: {count} images of ShapesDataModule, {which}." in caplog.messages
    # What is scored is no bank that codes are compared with.
    assert len(list(data.unaugmented_dataloader())) == (split not in ("train", "all"))


def test_size_and_channels_are_those_of_the_checkpoint() -> None:
    data = shapes("classification")
    data.match(Trained(CLASS_NAMES, 1, {"policy": "Stretch", "size": [24, 16], "multiple": 1}))
    data.setup("test")
    assert next(iter(data.test_dataloader())).images.shape == (4, 1, 24, 16)


def test_a_class_that_the_checkpoint_does_not_know_is_named() -> None:
    data = shapes("classification")
    data.match(Trained(("circle", "square", "star"), 3, None))
    with pytest.raises(ArgumentError, match="the class 'triangle', which the task was not trained on"):
        _ = data.class_names
