"""Batches from image files: the same for any number of workers, and honest about broken files."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import albumentations as A
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.data.datasets.image_files import Files
from visiontasks.data.augmentation.resizing import RandomResizedCrop, RandomScaledCrop, Stretch, Within
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.data.datasets.file_dataset import FileDataset, ImageFiles, sample_seed
from visiontasks.data.datasets.tasks import (
    AutoencodingDataset,
    ClassificationDataset,
    DetectionDataset,
    LocalizationDataset,
    MultilabelDataset,
    SegmentationDataset,
)
from visiontasks.data.images.reading import Reading, read_pixels
from visiontasks.data.loading.loader import BatchLoader
from visiontasks.data.loading.samplers import BatchRequest, EvaluationSampler, TrainingSampler
from visiontasks.errors import ArgumentError, DataError, UnreadableFileError

ALL = BatchRequest(list(range(7)), 0)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


TASKS: dict[str, Callable[..., FileDataset[Any]]] = {
    "classification": partial(ClassificationDataset, resizing=RandomResizedCrop((32, 40))),
    "multilabel": partial(MultilabelDataset, resizing=Stretch((32, 40))),
    "localization": partial(LocalizationDataset, resizing=Stretch((32, 40))),
    "detection": partial(DetectionDataset, resizing=Within((40, 60, 80), 100), multiple=32),
    "segmentation": partial(SegmentationDataset, resizing=RandomScaledCrop((32, 40))),
    "autoencoding": partial(AutoencodingDataset, resizing=Stretch((32, 40))),
}


def training_set(task: str, files: Files, **options: Any) -> FileDataset[Any]:  # noqa: ANN401 - of the data set
    kind = "classification" if task == "multilabel" else task
    return TASKS[task](files, augmentation=Augmentation.create(kind, "strong"), seed=3, **options)


def equal(one: Any, other: Any) -> bool:  # noqa: ANN401 - batches of any task
    pairs = zip(one, other, strict=True)
    return type(one) is type(other) and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("task", TASKS)
def test_a_batch_is_uint8_channels_last_and_of_the_type_of_its_task(task: str, files: Files) -> None:
    assert isinstance(files, ImageFiles)
    batch = training_set(task, files)[ALL]
    expected = {"multilabel": "Classification"}.get(task, task.capitalize())
    assert type(batch).__name__ == f"{expected}Batch"
    assert batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)
    assert batch.ids.tolist() == ALL.indices
    empty = training_set(task, files)[BatchRequest([], 0)]
    assert type(empty) is type(batch)
    assert all(field.dtype == whole.dtype and len(field) == 0 for field, whole in zip(empty, batch, strict=True))
    assert [field.ndim for field in empty] == [field.ndim for field in batch]


@pytest.mark.parametrize("task", TASKS)
def test_a_sample_depends_on_seed_epoch_and_index_only(task: str, files: Files) -> None:
    dataset = training_set(task, files)
    alone = [dataset[BatchRequest([index], 4)] for index in (5, 2)]
    together = dataset[BatchRequest([2, 5], 4)]
    for place, one in enumerate(reversed(alone)):
        height, width = one.images.shape[2:]
        assert torch.equal(together.images[place, :, :height, :width], one.images[0])
    assert equal(training_set(task, files)[BatchRequest([2, 5], 4)], together)
    other = dataset[BatchRequest([2, 5], 5)]
    assert other.images.shape != together.images.shape or not torch.equal(other.images, together.images)


def test_an_image_that_is_drawn_again_in_an_epoch_is_augmented_anew(files: Files) -> None:
    dataset = training_set("classification", files)
    images = dataset[BatchRequest([2, 5, 2, 2], 4, drawn=[0, 0, 1, 2])].images
    assert torch.equal(images[:2], dataset[BatchRequest([2, 5], 4)].images)
    assert len({image.numpy().tobytes() for image in images}) == 4
    assert not torch.equal(images[2], dataset[BatchRequest([2], 5)].images[0])
    assert torch.equal(images[2], dataset[BatchRequest([2], 4, drawn=[1])].images[0])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_0_2_and_4_workers_give_the_same_batches_and_epochs_differ(task: str, files: Files) -> None:
    dataset = training_set(task, files)
    epochs = []
    for workers in (0, 2, 4):
        loader = BatchLoader(dataset, TrainingSampler(dataset, 2, seed=1), workers)
        batches = []
        for epoch in range(2):
            loader.sampler.set_epoch(epoch)
            batches.append(list(loader))
        epochs.append(batches)
    for batches in epochs[1:]:
        assert all(
            equal(a, b)
            for ours, theirs in zip(epochs[0], batches, strict=True)
            for a, b in zip(ours, theirs, strict=True)
        )
    first, second = (
        {int(i): image for batch in epoch for i, image in zip(batch.ids, batch.images, strict=True)}
        for epoch in epochs[0]
    )
    assert sum(a.shape == (b := second[i]).shape and torch.equal(a, b) for i, a in first.items() if i in second) <= 1


def test_evaluation_shows_images_and_boxes_as_they_are(files: Files) -> None:
    dataset = DetectionDataset(files, resizing=Within(96, 1000), multiple=32)
    batch = dataset[ALL]
    assert batch.images.shape[2] % 32 == batch.images.shape[3] % 32 == 0
    for index in range(len(files)):
        boxes, labels, ignore = files.objects(index)
        count = len(labels)
        height, width = batch.sizes[index].tolist()
        assert not batch.images[index, :, height:].any()
        assert not batch.images[index, :, :, width:].any()
        back = batch.boxes[index, :count] * batch.scale[index].flip(0).repeat(2)
        np.testing.assert_allclose(back, boxes, atol=1e-4)
        np.testing.assert_allclose(batch.sizes[index] * batch.scale[index], files.sizes[index], atol=1e-3)
        assert batch.labels[index].tolist() == labels.tolist() + [-1] * (batch.labels.shape[1] - count)
        assert batch.ignore[index, :count].tolist() == ignore.tolist()
    exact = DetectionDataset(files)[BatchRequest([3], 0)]
    assert np.array_equal(exact.images[0].permute(1, 2, 0), read_pixels(files.file(3)))
    assert torch.equal(exact.boxes[0], torch.from_numpy(files.objects(3).boxes).float())


def test_a_size_that_differs_from_the_annotations_is_an_error(files: Files) -> None:
    files.sizes[1] = files.sizes[1, ::-1]
    with pytest.raises(DataError, match=r"1\.png' is 64 x 48 .* annotation says 48 x 64.*of another one\.$"):
        DetectionDataset(files).pixels(1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(files.file(1)).transpose(Image.Transpose.ROTATE_90).save(files.file(1), exif=exif)
    assert DetectionDataset(files, reading=Reading(exif=False)).pixels(1).shape == (48, 64, 3)
    with pytest.raises(DataError, match=r"1\.png' is 64 x 48 .* annotation says 48 x 64.*EXIF.*exif='ignore'"):
        DetectionDataset(files)[BatchRequest([1], 0)]
    files.sizes[1] = 0  # not known
    assert DetectionDataset(files)[BatchRequest([1], 0)].sizes.tolist() == [[64, 48]]


def test_a_broken_file_raises_is_skipped_or_replaced(files: Files, caplog: pytest.LogCaptureFixture) -> None:
    files.file(2).write_bytes(files.file(2).read_bytes()[:60])
    files.file(3).write_bytes(b"")
    make = partial(DetectionDataset, files)
    with pytest.raises(UnreadableFileError, match=r"2\.png"):
        make()[ALL]
    skipping, replacing = make(on_error="skip"), make(on_error="replace")
    for _ in range(2):
        assert skipping[ALL].ids.tolist() == [0, 1, 4, 5, 6]
        assert replacing[ALL].ids.tolist() == [0, 1, 4, 4, 4, 5, 6]
    assert skipping[BatchRequest([2, 3], 0)].images.shape[:2] == (0, 3)
    assert skipping.unreadable == replacing.unreadable == [files.file(2), files.file(3)]
    assert len(caplog.messages) == 4
    assert "2.png" in caplog.messages[0]
    assert "(2 so far)" in caplog.messages[1]
    for index in range(7):
        files.file(index).write_bytes(b"")
    with pytest.raises(DataError, match="None of the 7 images can be read"):
        make(on_error="replace")[ALL]


@pytest.mark.unchecked
def test_another_way_to_treat_errors_is_an_error(files: Files) -> None:
    with pytest.raises(ArgumentError, match=r"on_error is 'skipp'\. Did you mean 'skip'"):
        DetectionDataset(files, on_error="skipp")  # type: ignore[arg-type]  # what is wrong with it


def test_workers_report_what_they_could_not_read(files: Files) -> None:
    files.file(6).write_bytes(b"")
    dataset = DetectionDataset(files, on_error="skip")
    batches = list(BatchLoader(dataset, EvaluationSampler(dataset, 3), 2))
    assert [batch.ids.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 5], []]
    assert dataset.unreadable == [files.file(6)]
    with pytest.raises(UnreadableFileError, match=r"6\.png"):
        list(BatchLoader(DetectionDataset(files), EvaluationSampler(dataset, 3), 2))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_cache_gives_the_same_and_reads_each_file_once(workers: int, files: Files) -> None:
    files.sizes[4] = 0
    plain, cached = training_set("detection", files), training_set("detection", files, cache=True)
    loader = BatchLoader(cached, EvaluationSampler(cached, 2), workers)
    first = list(loader)
    assert all(equal(a, b) for a, b in zip(BatchLoader(plain, EvaluationSampler(plain, 2)), first, strict=True))
    assert cached.cache is not None
    assert cached.cache.filled.all()
    for index in range(7):
        files.file(index).unlink()
    assert all(equal(a, b) for a, b in zip(first, loader, strict=True))


def test_a_cache_that_does_not_fit_is_an_error(files: Files) -> None:
    files.sizes = np.full((7, 2), 10_000_000, np.int64)
    with pytest.raises(ArgumentError, match=r"needs 1955777\.\d GiB of memory, and .* are free. Use cache=False"):
        DetectionDataset(files, cache=True)


class AngledSample(NamedTuple):
    images: Tensor
    labels: Tensor
    angle: float
    ids: Tensor


class Angled(FileDataset[AngledSample]):
    """A task of a user: a class and an angle."""

    def sample(self, index: int, epoch: int) -> AngledSample:
        label = torch.tensor(int(self.index.objects(index).labels[0]))
        return AngledSample(self.view(index, epoch).image, label, index / 2, torch.tensor(index))


def test_a_field_of_the_user_reaches_the_batch(files: Files) -> None:
    dataset = Angled(files, resizing=Stretch((8, 8)))
    for workers in (0, 2):
        (batch,) = BatchLoader(dataset, EvaluationSampler(dataset, 7), workers)
        assert type(batch) is AngledSample
        assert torch.as_tensor(batch.angle).tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]


@pytest.mark.filterwarnings("ignore:Using lambda is incompatible with multiprocessing")
def test_spawned_workers_get_an_equal_data_set_and_refuse_a_lambda(files: Files) -> None:
    dataset = training_set("detection", files, cache=True)
    dataset.cache = pickle.loads(pickle.dumps(dataset.cache))
    assert equal(dataset[ALL], training_set("detection", files)[ALL])
    augmentation = Augmentation([A.Lambda(image=lambda image, **_: image, p=1)])
    with pytest.raises(ArgumentError, match="cannot be sent to worker processes"):
        pickle.dumps(DetectionDataset(files, augmentation=augmentation).augmentation)


def test_seeds_of_samples_differ() -> None:
    seeds = {sample_seed(seed, epoch, index) for seed in range(5) for epoch in range(5) for index in range(40)}
    assert len(seeds) == 1000


def test_a_cache_leaves_out_what_cannot_be_read(files: Files) -> None:
    files.sizes[4] = 0
    files.file(4).write_bytes(b"")
    with pytest.raises(UnreadableFileError):
        DetectionDataset(files, cache=True)
    dataset = DetectionDataset(files, cache=True, on_error="skip")
    assert dataset.sizes()[4].tolist() == [0, 0]
    assert dataset[BatchRequest([3, 4, 5], 0)].ids.tolist() == [3, 5]
    assert dataset.unreadable == [files.file(4)]
