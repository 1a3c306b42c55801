"""Every option of a data module of files reaches the data set, the loader or the sampler that it names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.data.datamodules.image_sets import write_coco, write_folders, write_masks
from visiontasks import COCODataModule, FolderDataModule, MaskFolderDataModule
from visiontasks.data.augmentation.resizing import RandomResizedCrop, RandomScaledCrop, Stretch, Whole, Within
from visiontasks.data.datasets.file_dataset import FileDataset
from visiontasks.data.images.reading import Reading
from visiontasks.data.lightning_modules import FileDataModule
from visiontasks.data.loading.ordering import aspect_groups, class_balanced_weights
from visiontasks.data.loading.processes import usable_cores
from visiontasks.description import Statistics


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[type[FileDataModule], Path]:
    """A small data set of each form."""
    folder = tmp_path_factory.mktemp("roots")
    return {
        COCODataModule: write_coco(folder / "coco", 4),
        FolderDataModule: write_folders(folder / "folders", 4),
        MaskFolderDataModule: write_masks(folder / "masks", 4),
    }


def make(roots: dict[type[FileDataModule], Path], owner: type[FileDataModule], **options: Any) -> FileDataModule:  # noqa: ANN401
    more = {"class_names": list("abcde")} if owner is MaskFolderDataModule else {}
    return owner(root=roots[owner], **{"num_workers": 0, **more, **options})


CROP = RandomResizedCrop((224, 224), area=(0.25, 1.0))


@pytest.mark.parametrize(
    ("owner", "options", "training", "evaluation", "size", "bounds", "multiple"),
    [
        (FolderDataModule, {}, CROP, Stretch((224, 224)), (224, 224), None, 1),
        (FolderDataModule, {"augmentation": "light"}, *[Stretch((224, 224))] * 2, (224, 224), None, 1),
        (FolderDataModule, {"augmentation": "none"}, *[Stretch((224, 224))] * 2, (224, 224), None, 1),
        (FolderDataModule, {"task": "autoencoding"}, *[Stretch((128, 128))] * 2, (128, 128), None, 1),
        (COCODataModule, {"task": "classification", "image_size": (8, 9)}, *[Stretch((8, 9))] * 2, (8, 9), None, 1),
        (COCODataModule, {"task": "localization"}, *[Stretch((224, 224))] * 2, (224, 224), None, 1),
        (COCODataModule, {}, *[Within(800, 1333)] * 2, None, (800, 1333), 32),
        (COCODataModule, {"shorter": 60, "longer": 90}, *[Within(60, 90)] * 2, None, (60, 90), 32),
        (COCODataModule, {"image_size": (64, 96)}, *[Stretch((64, 96))] * 2, (64, 96), None, 1),
        (COCODataModule, {"augmentation": "multiscale"}, Within(tuple(range(480, 801, 32)), 1333), Within(800, 1333),
         None, (800, 1333), 32),
        (MaskFolderDataModule, {}, RandomScaledCrop((32, 32), (0.5, 2.0)), Whole(), None, None, 1),
        (MaskFolderDataModule, {"image_size": (32, 24), "crop_scale": (0.75, 1.0)},
         RandomScaledCrop((32, 24), (0.75, 1.0)), Whole(), None, None, 1),
    ],
)  # fmt: skip
def test_images_are_brought_to_the_size_that_was_asked_for(
    owner: type[FileDataModule],
    options: dict[str, Any],
    training: Any,  # noqa: ANN401 - one of several kinds
    evaluation: Any,  # noqa: ANN401 - as above
    size: tuple[int, int] | None,
    bounds: tuple[int, int] | None,
    multiple: int,
    roots: dict[type[FileDataModule], Path],
) -> None:
    data = make(roots, owner, **options)
    data.setup("fit")
    data.setup("test")
    assert data.train_set.resizing == training
    for dataset in (data.val_set, data.test_set):
        assert isinstance(dataset, FileDataset)
        assert dataset.resizing == evaluation
        assert dataset.augmentation is None
        assert dataset.multiple == multiple
    assert data.train_set.multiple == multiple
    assert data.image_size == size
    assert data.view["multiple"] == multiple
    assert (data.view.get("shorter"), data.view.get("longer")) == (bounds or (None, None))


def test_options_reach_the_data_sets(roots: dict[type[FileDataModule], Path]) -> None:
    data = make(roots, FolderDataModule, seed=7, on_error="skip", cache=True, in_channels=1, image_size=(16, 16))
    data.setup("fit")
    assert isinstance(data.val_set, FileDataset)
    channels = [dataset.reading.channels for dataset in (data.train_set, data.val_set)]
    assert (data.train_set.seed, channels) == (7, [1, 1])
    assert (data.train_set.on_error, data.val_set.on_error) == ("replace", "skip")
    assert data.train_set.augmentation is data.transform
    assert data.train_set.cache is not None
    assert data.val_set.cache is not None
    plain = make(roots, FolderDataModule)
    plain.setup("fit")
    assert isinstance(plain.val_set, FileDataset)
    assert (plain.train_set.on_error, plain.val_set.on_error) == ("raise", "raise")
    assert plain.train_set.cache is None
    masks = make(roots, MaskFolderDataModule, ignore_index=9, task="segmentation")
    masks.setup("fit")
    assert (masks.train_set.classes, masks.train_set.ignore_index) == (5, 9)  # type: ignore[attr-defined]  # of masks


def test_a_validation_reads_the_training_images_when_they_are_needed(roots: dict[type[FileDataModule], Path]) -> None:
    data = make(roots, FolderDataModule)
    data.setup("validate")
    assert not hasattr(data, "train_set")
    assert sum(len(batch.images) for batch in data.unaugmented_dataloader()) == len(data.train_set)
    first = data.train_set
    data.setup("fit")
    assert data.train_set is first
    assert not hasattr(data, "test_set")
    data.setup("predict")
    assert hasattr(data, "test_set")


def test_by_default_there_is_a_worker_for_each_core(roots: dict[type[FileDataModule], Path]) -> None:
    assert make(roots, FolderDataModule, num_workers=None).num_workers == usable_cores(8)
    assert make(roots, FolderDataModule).batch_size == 16


def test_options_reach_the_sampler_and_the_loader(roots: dict[type[FileDataModule], Path]) -> None:
    options: dict[str, Any] = {"batch_size": 2, "seed": 7, "drop_last": True, "worker_timeout": 9.0, "num_workers": 1}
    data = make(roots, COCODataModule, **options)
    data.setup("fit")
    loader: Any = data.train_dataloader()
    sampler = loader.sampler
    assert (sampler.batch_size, sampler.seed, sampler.samples, sampler.seen) == (2, 7, 4, 4)
    assert (loader.num_workers, loader.timeout) == (1, 9)
    index = data.splits["train"].index
    assert torch.equal(sampler.groups, torch.from_numpy(aspect_groups(index.sizes)))
    assert sampler.weights is None
    # Images of one size need no groups; balanced ones are drawn by the weights of their classes, in batches of a group.
    fixed = make(roots, COCODataModule, image_size=(32, 32), batch_size=3, drop_last=True)
    fixed.setup("fit")
    assert fixed.train_sampler().groups is None
    assert fixed.train_sampler().seen == 3
    balanced = make(roots, COCODataModule, balanced=True)
    balanced.setup("fit")
    drawn = balanced.train_sampler()
    assert drawn.groups is not None
    assert torch.equal(drawn.groups, sampler.groups)
    expected = class_balanced_weights(index.labels, index.offsets)
    assert drawn.weights is not None
    assert np.array_equal(drawn.weights.numpy(), expected)


def test_statistics_are_measured_as_images_are_evaluated(
    roots: dict[type[FileDataModule], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    measured = Statistics(torch.zeros(1), torch.ones(1), None)

    def load(*given: Any, **options: Any) -> Statistics:  # noqa: ANN401 - as the function it stands in for
        asked.append((*given[1:], options))
        return measured

    monkeypatch.setattr("visiontasks.data.datamodules.file_data.load_statistics", load)
    data = make(roots, FolderDataModule, image_size=(16, 24), in_channels=1, on_error="skip")
    assert data.statistics() is data.statistics() is measured
    make(roots, COCODataModule, num_workers=3).statistics()
    grey = (Reading(1), Stretch((16, 24)), 0, {"skip": True})
    assert asked == [grey, (Reading(3), Whole(), 3, {"skip": False})]
