import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.data.datasets.idx_writer import encode
from visiontasks import MNISTDataModule
from visiontasks.data.loading.samplers import BatchRequest
from visiontasks.errors import ArgumentError, DataError
from visiontasks.testing import check_datamodule

SIZES = {"train": 30, "t10k": 8}


def write_split(folder: Path, split: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    generator = np.random.default_rng(count)
    images = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = generator.integers(0, 10, count, dtype=np.uint8)
    for name, array in ((f"{split}-images-idx3-ubyte", images), (f"{split}-labels-idx1-ubyte", labels)):
        (folder / f"{name}.gz").write_bytes(gzip.compress(encode(array)))
    return images, labels


Files = dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The arrays in the files of a small MNIST below ``tmp_path``."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    return {split: write_split(folder, split, count) for split, count in SIZES.items()}


def make(root: Path, **options: Any) -> MNISTDataModule:  # noqa: ANN401 - arguments of the data module
    return MNISTDataModule(root, **{"val_size": 5, "batch_size": 4, **options})


@pytest.mark.parametrize("options", [{}, {"augmentation": "default", "seed": 3}, {"val_size": 28, "batch_size": 1}])
@pytest.mark.usefixtures("files")
def test_the_contract_is_kept(options: dict[str, Any], tmp_path: Path) -> None:
    check_datamodule(make(tmp_path, **options))


def test_the_description_needs_no_file() -> None:
    data = make(Path("nowhere"))
    assert data.class_names == tuple("0123456789")
    assert (data.num_classes, data.in_channels, data.image_size) == (10, 1, (28, 28))
    assert make(Path("nowhere"), dataset="fashion-mnist").class_names[9] == "Ankle boot"
    assert make(Path("nowhere"), dataset="emnist-letters").num_classes == 26


def test_every_image_is_in_one_split_with_its_label(files: Files, tmp_path: Path) -> None:
    data = make(tmp_path)
    data.setup("fit")
    data.setup("test")
    ids = data.train_set.ids.tolist() + data.val_set[BatchRequest([0, 1, 2, 3, 4], 0)].ids.tolist()
    assert sorted(ids) == list(range(30))
    for dataset, split in ((data.train_set, "train"), (data.val_set, "train"), (data.test_set, "t10k")):
        images, labels = files[split]
        batch = dataset[BatchRequest(list(range(len(dataset))), 0)]
        assert np.array_equal(batch.images[:, 0].numpy(), images[batch.ids.numpy()])
        assert np.array_equal(batch.labels.numpy(), labels[batch.ids.numpy()])


@pytest.mark.usefixtures("files")
def test_the_images_held_out_are_the_same_for_every_seed(tmp_path: Path) -> None:
    held_out = []
    for seed in (0, 1):
        data = make(tmp_path, seed=seed)
        data.setup("fit")
        held_out.append(data.val_set[BatchRequest([0, 1, 2, 3, 4], 0)].ids)
    assert torch.equal(*held_out)
    assert held_out[0].tolist() != list(range(5))


def test_statistics_are_of_the_training_split_alone(files: Files, tmp_path: Path) -> None:
    data = make(tmp_path, augmentation="strong")
    data.setup("fit")
    pixels = files["train"][0][data.train_set.ids.numpy()] / 255
    statistics = data.statistics()
    assert statistics.mean.item() == pytest.approx(pixels.mean())
    assert statistics.std.item() == pytest.approx(pixels.std())
    assert statistics.mean_image is not None
    torch.testing.assert_close(statistics.mean_image[0], torch.from_numpy(pixels.mean(0)).float())


@pytest.mark.usefixtures("files")
def test_a_stage_reads_only_what_it_needs(tmp_path: Path) -> None:
    for path in (tmp_path / "MNIST" / "raw").glob("t10k*"):
        path.unlink()
    data = make(tmp_path)
    data.prepare_data()
    data.setup("fit")
    train_set = data.train_set
    data.setup("validate")
    assert data.train_set is train_set
    with pytest.raises(DataError, match="t10k-images-idx3-ubyte"):
        data.setup("test")


@pytest.mark.parametrize("val_size", [0, 30, 5000])
@pytest.mark.usefixtures("files")
def test_some_images_have_to_be_left_for_each_split(val_size: int, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=f"val_size is {val_size}; expected 1 to 29, so that some of the 30 images"):
        make(tmp_path, val_size=val_size).setup("fit")


def test_an_unknown_set_lists_near_matches() -> None:
    with pytest.raises(ArgumentError, match=r"unknown data set 'fashion_mnist'\. Did you mean 'fashion-mnist'"):
        make(Path("nowhere"), dataset="fashion_mnist")


def test_missing_files_are_an_error_and_nothing_is_downloaded(tmp_path: Path) -> None:
    data = make(tmp_path)
    data.prepare_data()
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte"):
        data.setup("fit")
