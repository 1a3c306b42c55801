import torch
from torch import Tensor

from visiontasks.data.datasets.memory import MemoryDataset
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.types import ClassificationBatch

IMAGES = torch.randint(256, (7, 3, 5, 4), dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0])


def test_a_batch_holds_the_samples_asked_for() -> None:
    dataset = MemoryDataset(IMAGES, LABELS, ids=torch.arange(100, 107))
    assert len(dataset) == 7
    batch = dataset[BatchRequest([4, 0, 4], epoch=0)]
    assert isinstance(batch, ClassificationBatch)
    assert torch.equal(batch.images, torch.stack([IMAGES[4], IMAGES[0], IMAGES[4]]))
    assert batch.labels.tolist() == [1, 0, 1]
    assert batch.ids.tolist() == [104, 100, 104]


def test_batches_are_bytes_in_channels_last_memory() -> None:
    images = MemoryDataset(IMAGES, LABELS)[BatchRequest([1, 2, 3], epoch=0)].images
    assert images.dtype == torch.uint8
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_ids_are_positions_by_default() -> None:
    assert MemoryDataset(IMAGES, LABELS)[BatchRequest([6, 2], epoch=0)].ids.tolist() == [6, 2]


def test_an_empty_request_gives_an_empty_batch() -> None:
    images, labels, ids = MemoryDataset(IMAGES, LABELS)[BatchRequest([], epoch=0)]
    assert images.shape == (0, 3, 5, 4)
    assert images.dtype == torch.uint8
    assert (labels.shape, labels.dtype) == (ids.shape, ids.dtype) == ((0,), torch.int64)


def test_an_augmentation_gets_images_ids_and_epoch() -> None:
    def augment(images: Tensor, ids: Tensor, epoch: int) -> Tensor:
        return images // 2 + (10 * ids[:, None, None, None] + epoch).to(torch.uint8)

    batch = MemoryDataset(IMAGES, LABELS, augmentation=augment)[BatchRequest([3, 5], epoch=4)]
    assert torch.equal(batch.images, torch.stack([IMAGES[3] // 2 + 34, IMAGES[5] // 2 + 54]))


def test_the_images_of_the_caller_are_not_changed() -> None:
    images = IMAGES.clone()
    dataset = MemoryDataset(images, LABELS)
    dataset[BatchRequest([0], epoch=0)].images.zero_()
    assert torch.equal(images, IMAGES)
    assert torch.equal(dataset[BatchRequest([0], epoch=0)].images[0], IMAGES[0])


def test_statistics_are_those_of_all_pixels() -> None:
    images = torch.randint(256, (4100, 2, 3, 2), dtype=torch.uint8)
    mean, std, mean_image = MemoryDataset(images, torch.zeros(4100, dtype=torch.int64)).statistics()
    values = images.numpy() / 255
    torch.testing.assert_close(mean, torch.from_numpy(values.mean((0, 2, 3))).float())
    torch.testing.assert_close(std, torch.from_numpy(values.std((0, 2, 3))).float())
    torch.testing.assert_close(mean_image, torch.from_numpy(values.mean(0)).float())


def test_a_constant_channel_has_no_deviation() -> None:
    images = torch.full((3, 1, 4, 4), 77, dtype=torch.uint8)
    statistics = MemoryDataset(images, torch.zeros(3, dtype=torch.int64)).statistics()
    assert statistics.std.item() < 1e-6
