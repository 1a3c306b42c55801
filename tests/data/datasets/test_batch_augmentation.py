"""Small images in memory: each by its own amounts, which depend on seed, epoch and id only."""

import json

import pytest
import torch
from torchvision.transforms import v2

from visiontasks import ShapesDataModule
from visiontasks.data.augmentation.affine import BatchAffine
from visiontasks.data.datasets.batch_augmentation import EachImage, batch_augmentation
from visiontasks.data.datasets.file_dataset import sample_seed
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError

IMAGES = torch.randint(0, 256, (12, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IDS = torch.arange(100, 112)


def test_strengths_are_affine_maps_of_whole_batches() -> None:
    assert batch_augmentation("none", 0) is None
    strong = batch_augmentation("strong", 5)
    assert isinstance(strong, BatchAffine)
    assert torch.equal(strong(IMAGES, IDS, 2), BatchAffine(15, 0.11, 0.15, 10, seed=5)(IMAGES, IDS, 2))


def test_trivial_augment_is_torchvisions_and_nothing_is_mirrored() -> None:
    augment = batch_augmentation("trivial", 7)
    assert augment is not None
    found = augment(IMAGES, IDS, 3)
    assert found.is_contiguous(memory_format=torch.channels_last)
    for image, number, changed in zip(IMAGES, IDS.tolist(), found, strict=True):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(sample_seed(7, 3, number) ^ 1)
            expected = v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)(image)
        assert torch.equal(changed, expected)


@pytest.mark.parametrize("name", ["trivial", "randaugment", "trivial+erasing", "strong+erasing", "erasing"])
def test_amounts_depend_on_seed_epoch_and_id_only(name: str) -> None:
    augment = batch_augmentation(name, 1)
    assert isinstance(augment, EachImage)
    before = IMAGES.clone()
    together = augment(IMAGES, IDS, 4)
    assert torch.equal(IMAGES, before)
    for place in (0, 5, 11):
        assert torch.equal(augment(IMAGES[place, None], IDS[place, None], 4)[0], together[place])
    again = batch_augmentation(name, 1)
    assert again is not None
    assert torch.equal(again(IMAGES, IDS, 4), together)
    assert not torch.equal(augment(IMAGES, IDS, 5), together)
    other = batch_augmentation(name, 2)
    assert other is not None
    assert not torch.equal(other(IMAGES, IDS, 4), together)
    assert augment(IMAGES[:0], IDS[:0], 4).shape == (0, 1, 28, 28)


def test_erasing_follows_the_affine_map() -> None:
    affine, both = batch_augmentation("strong", 1), batch_augmentation("strong+erasing", 1)
    assert affine is not None
    assert both is not None
    moved, erased = affine(IMAGES, IDS, 0), both(IMAGES, IDS, 0)
    changed = (moved != erased).flatten(1).float().mean(1)
    assert 0 < (changed > 0).sum() < 12
    assert changed.max() < 0.34


def test_data_modules_take_it_and_name_what_they_do_not_know() -> None:
    data = ShapesDataModule(train_size=8, val_size=2, test_size=2, augmentation="strong+erasing")
    data.setup("fit")
    augmentation = data.train_set.augmentation
    assert isinstance(augmentation, EachImage)
    described = augmentation.describe()
    assert json.loads(json.dumps(described))["BatchAffine"]["degrees"] == 15
    assert "Erasing" in described["views"][0]
    assert data.train_set[BatchRequest([1, 3], 0)].images.shape == (2, 3, 64, 64)
    with pytest.raises(ArgumentError, match=r"unknown augmentation 'mild' for classification\. Known: "):
        ShapesDataModule(train_size=8, augmentation="mild").setup("fit")
