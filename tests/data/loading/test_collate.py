from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from visiontasks.data.loading.collate import collate, empty_like
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler
from visiontasks.errors import ArgumentError
from visiontasks.types import DetectionBatch, SegmentationBatch


def sample(height: int, width: int, objects: int, number: int) -> DetectionBatch:
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(256, (height, width, 3), dtype=torch.uint8, generator=generator).permute(2, 0, 1)
    return DetectionBatch(
        pixels,
        torch.rand(objects, 4, generator=generator),
        torch.arange(objects),
        torch.ones(objects, dtype=torch.bool),
        torch.tensor([height, width]),
        torch.ones(2),
        torch.tensor(number),
        torch.rand(objects, generator=generator),
    )


class CollatesInWorkers:
    def __len__(self) -> int:
        return 3

    def __getitem__(self, request: BatchRequest) -> tuple[DetectionBatch, list[bool]]:
        objects = 2 if request.indices[0] == 0 else 0
        batch = collate([sample(5, 9, objects, 0), sample(7, 4, 0, 1)], multiple=4)
        return batch, [field.is_shared() for field in batch if field.numel()]


def test_a_worker_makes_its_batches_in_shared_memory() -> None:
    dataset = CollatesInWorkers()
    in_workers = list(BatchLoader(dataset, EvaluationSampler(dataset, 2), 1))
    here = list(BatchLoader(dataset, EvaluationSampler(dataset, 2), 0))
    assert len(here) == 2
    for (batch, shared), (other, not_shared) in zip(in_workers, here, strict=True):
        assert all(shared)
        assert not any(not_shared)
        for field, expected in zip(batch, other, strict=True):
            assert torch.equal(field, expected)
            assert field.stride() == expected.stride()


def test_different_shapes_are_padded_at_the_end() -> None:
    samples = [sample(5, 9, 2, 0), sample(7, 4, 0, 1)]
    batch = collate(samples, multiple=4)
    assert type(batch) is DetectionBatch
    assert batch.images.shape == (2, 3, 8, 12)
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    for place, one in enumerate(samples):
        height, width = one.sizes.tolist()
        assert torch.equal(batch.images[place, :, :height, :width], one.images)
        assert int(batch.images[place].sum()) == int(one.images.sum())
    assert batch.boxes.shape == (2, 2, 4)
    assert torch.equal(batch.boxes[0], samples[0].boxes)
    assert not batch.boxes[1].any()
    assert batch.labels.tolist() == [[0, 1], [-1, -1]]
    assert batch.ignore.tolist() == [[True, True], [False, False]]
    assert batch.ids.tolist() == [0, 1]


def test_a_batch_without_any_object_keeps_its_axes() -> None:
    batch = collate([sample(4, 4, 0, 0), sample(4, 4, 0, 1)])
    assert batch.boxes.shape == (2, 0, 4)
    assert batch.labels.shape == (2, 0)


def test_masks_are_padded_with_ignored_pixels() -> None:
    def one(side: int) -> SegmentationBatch:
        mask, size = torch.zeros(side, side, dtype=torch.uint8), torch.tensor([side, side])
        return SegmentationBatch(torch.ones(1, side, side).byte(), mask, size, torch.ones(2), torch.tensor(0))

    batch = collate([one(3), one(2)], multiple=5)
    assert batch.images.shape[2:] == batch.masks.shape[1:] == (5, 5)
    assert [(mask == 0).sum().item() for mask in batch.masks] == [9, 4]
    assert torch.equal(batch.masks == 255, batch.images[:, 0] == 0)


class Turned(NamedTuple):
    images: Tensor
    angle: float
    weight: np.ndarray
    name: str
    flag: bool


def test_a_tuple_of_the_user_stays_what_it_is() -> None:
    def one(number: int) -> Turned:
        return Turned(torch.zeros(3, 4, 4), number / 2, np.float32(number) * np.ones(number), str(number), number > 1)

    batch = collate([one(1), one(2)])
    assert type(batch) is Turned
    assert batch.images.dtype == torch.float32
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    angle, weight, flag = batch[1], batch[2], batch[4]
    assert isinstance(angle, Tensor)
    assert isinstance(weight, Tensor)
    assert isinstance(flag, Tensor)
    assert angle.tolist() == [0.5, 1.0]
    assert angle.dtype == torch.float32
    assert weight.tolist() == [[1, 0], [2, 2]]
    assert list(batch.name) == ["1", "2"]
    assert flag.tolist() == [False, True]
    empty = empty_like(batch)
    assert type(empty) is Turned
    assert empty.images.shape == (0, 3, 4, 4)
    assert list(empty.name) == []


def test_an_empty_batch_keeps_types_and_shapes() -> None:
    batch = collate([sample(5, 9, 2, 0)], multiple=8)
    empty = empty_like(batch)
    assert type(empty) is DetectionBatch
    for name, field, whole in zip(batch._fields, empty, batch, strict=True):
        assert field.shape == (0, *whole.shape[1:]), name
        assert field.dtype == whole.dtype, name


def test_what_cannot_be_stacked_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="no sample"):
        collate([])
    one = sample(4, 4, 1, 0)
    with pytest.raises(ArgumentError, match=r"'boxes' is torch\.float32 \[1, 4\] and torch\.float64 \[1, 4\]"):
        collate([one, one._replace(boxes=torch.zeros(1, 4, dtype=torch.float64))])
    with pytest.raises(ArgumentError, match=r"'labels' is .*one rank"):
        collate([one, one._replace(labels=torch.tensor(3))])
