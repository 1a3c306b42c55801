"""Training images are drawn by their shapes or their classes."""

from pathlib import Path

import numpy as np
import pytest

from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule
from visiontasks.data.datamodules.sampling import drawing
from visiontasks.data.loading.ordering import aspect_groups, class_balanced_weights, repeat_factors
from visiontasks.errors import ArgumentError


def test_shapes_that_vary_are_grouped_and_classes_are_balanced(tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path, count=6), num_workers=0)
    data.setup("fit")
    index = data.splits["train"].index
    assert np.array_equal(drawing(data.train_set, index)["groups"], aspect_groups(index.sizes))
    weights = drawing(data.train_set, index, balanced=True)["weights"]
    assert np.array_equal(weights, class_balanced_weights(index.labels, index.offsets))
    fixed = COCODataModule(tmp_path, num_workers=0, image_size=(16, 16))
    fixed.setup("fit")
    assert drawing(fixed.train_set, index) == {}
    both = drawing(data.train_set, index, balanced=True)
    assert np.array_equal(both["groups"], aspect_groups(index.sizes))


def test_rare_classes_are_repeated_in_batches_of_similar_shapes(tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path, count=6), num_workers=0, repeat_threshold=0.9, batch_size=2)
    data.setup("fit")
    index = data.splits["train"].index
    expected = repeat_factors(index.labels, index.offsets, 0.9)
    assert expected.max() > 1
    sampler = data.train_sampler()
    assert sampler.repeats is not None
    assert np.array_equal(sampler.repeats.numpy(), expected)
    assert sampler.weights is None
    assert sampler.groups is not None
    assert np.array_equal(sampler.groups.numpy(), aspect_groups(index.sizes))
    with pytest.raises(ArgumentError, match="balanced and repeat_threshold are two ways"):
        drawing(data.train_set, index, balanced=True, repeat_threshold=0.9)


def test_nothing_is_balanced_without_classes() -> None:
    with pytest.raises(ArgumentError, match="balanced draws images by the classes of their objects"):
        class_balanced_weights(np.zeros(0, np.int32), np.zeros(3, np.int64))
