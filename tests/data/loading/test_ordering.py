import math
from typing import Any

import numpy as np
import pytest
import torch

from visiontasks.data.loading.ordering import (
    arrange_by_group,
    aspect_groups,
    class_balanced_weights,
    cut,
    repeat_factors,
)
from visiontasks.data.loading.samplers import TrainingSampler
from visiontasks.errors import ArgumentError


def test_rare_classes_are_drawn_as_often_as_frequent_ones() -> None:
    classes = np.array([0] * 90 + [1] * 9 + [2])
    weights = class_balanced_weights(classes, np.arange(101))
    sampler = TrainingSampler(range(100), 10, seed=0, weights=weights)
    drawn = []
    for epoch in range(60):
        sampler.set_epoch(epoch)
        drawn += [classes[index] for request in sampler for index in request.indices]
    assert np.bincount(drawn) / len(drawn) == pytest.approx([1 / 3] * 3, abs=0.03)


def test_an_image_weighs_as_its_rarest_class_and_empty_ones_are_a_class() -> None:
    # Images: {0, 0}, {0, 1}, {}, {}.
    weights = class_balanced_weights(np.array([0, 0, 0, 1]), np.array([0, 2, 4, 4, 4]))
    assert weights.tolist() == [0.5, 1, 0.5, 0.5]
    with pytest.raises(ArgumentError, match="balanced draws images by the classes of their objects"):
        class_balanced_weights(np.empty(0, np.int64), np.zeros(3, np.int64))


def test_shapes_are_grouped() -> None:
    sizes = np.array([[100, 50], [100, 79], [100, 80], [100, 124], [100, 125], [50, 500]])
    assert aspect_groups(sizes).tolist() == [0, 0, 1, 1, 2, 2]
    assert aspect_groups(sizes, bounds=(1.0,)).tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ArgumentError, match=r"sizes of 1 images are not known \(the first is number 1\)"):
        aspect_groups(np.array([[5, 5], [0, 0]]))


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("count", [7, 40, 41, 53])
def test_steps_are_of_one_group_but_for_what_is_left_over(replicas: int, count: int) -> None:
    groups = np.arange(count) % 3
    samplers = [TrainingSampler(range(count), 3, 5, False, replicas, rank, groups=groups) for rank in range(replicas)]
    plain = TrainingSampler(range(count), 3, 5, False, replicas, 0)
    orders = []
    for epoch in range(2):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        steps = [[index for request in step for index in request.indices] for step in zip(*samplers, strict=True)]
        assert len(steps) == len(plain)
        seen = [index for step in steps for index in step]
        assert len(seen) == len(set(seen)) == plain.seen
        mixed = sum(len({groups[index] for index in step}) > 1 for step in steps)
        assert mixed <= 3
        orders.append(seen)
    assert orders[0] != orders[1]


def test_all_samples_stay() -> None:
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(20, generator=generator)
    arranged = arrange_by_group(order, torch.arange(20) % 4, 4, generator)
    assert sorted(arranged.tolist()) == list(range(20))
    assert not torch.equal(arranged, order)


@pytest.mark.parametrize("name", ["groups", "weights"])
def test_values_that_do_not_fit_are_an_error(name: str) -> None:
    kind = np.int64 if name == "groups" else np.float64
    for values in (np.ones(4, kind), -np.ones(5, kind)):
        options: dict[str, Any] = {name: values}
        with pytest.raises(ArgumentError, match=f"{name} has [45] values for 5 samples"):
            TrainingSampler(range(5), 1, **options)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("threshold", [0.001, 0.1, 0.5, 1.0])
def test_repeat_factors_are_those_of_lvis(seed: int, threshold: float) -> None:
    random = np.random.default_rng(seed)
    images = [random.choice(9, random.integers(0, 5), p=[0.4, 0.3, *[0.3 / 7] * 7]).tolist() for _ in range(30)]
    labels = np.array([label for classes in images for label in classes], np.int64)
    factors = repeat_factors(labels, np.cumsum([0, *map(len, images)]), threshold)
    for classes, factor in zip(images, factors, strict=True):
        of_classes = []
        for label in classes:
            frequency = sum(label in others for others in images) / len(images)
            of_classes.append(max(1.0, math.sqrt(threshold / frequency)))
        assert factor == pytest.approx(max(of_classes, default=1.0))


@pytest.mark.parametrize("threshold", [0.0, -0.1, 1.5])
def test_a_threshold_is_a_fraction_of_images_with_objects(threshold: float) -> None:
    with pytest.raises(ArgumentError, match=r"repeat_threshold is .*; expected a fraction of the images"):
        repeat_factors(np.array([0]), np.array([0, 1]), threshold)
    with pytest.raises(ArgumentError, match="repeat_threshold draws images by the classes of their objects"):
        repeat_factors(np.empty(0, np.int64), np.zeros(3, np.int64), 0.001)


@pytest.mark.parametrize("seed", range(20))
def test_batches_are_cut_where_they_have_too_many_images_or_pixels(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes, most, pixels = random.integers(1, 40, (30, 2)), 4, 3000
    batches = cut(30, most, sizes, pixels)
    assert [image for batch in batches for image in batch] == list(range(30))

    def area(images: range) -> int:
        return int(len(images) * sizes[images].max(0).prod())

    for batch in batches:
        assert len(batch) == 1 or (len(batch) <= most and area(batch) <= pixels)
        longer = range(batch.start, batch.stop + 1)
        assert batch.stop == 30 or len(batch) == most or area(longer) > pixels, "no batch is cut too early"
