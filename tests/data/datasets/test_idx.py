import gzip
import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.data.datasets.idx_writer import encode
from visiontasks.data.datasets.idx import download_idx, find_raw_folder, load_idx
from visiontasks.data.datasets.idx_datasets import IDX_DATASETS, Split, get_idx_dataset
from visiontasks.errors import ArgumentError, DataError, DownloadError


def write_set(
    folder: Path, dataset: str, images: NDArray[np.generic], labels: NDArray[np.generic], suffix: str = ""
) -> None:
    """Write both splits; the test split is the training split backwards."""
    described = get_idx_dataset(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    splits: Mapping[Split, slice] = {"train": slice(None), "test": slice(None, None, -1)}
    for split, order in splits.items():
        for name, array in zip(described.files(split), (images[order], labels[order]), strict=True):
            content = encode(array)
            (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix else content)


def some_images(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


DIGITS = np.arange(10, dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("root", ["", "FashionMNIST", "FashionMNIST/raw"])
def test_splits_from_every_root(tmp_path: Path, root: str, suffix: str) -> None:
    images = some_images(10, 28, 28)
    write_set(tmp_path / "FashionMNIST" / "raw", "fashion-mnist", images, DIGITS, suffix)
    assert find_raw_folder(tmp_path / root, "fashion-mnist") == tmp_path / "FashionMNIST" / "raw"
    found, labels = load_idx(str(tmp_path / root), "fashion-mnist", "train")
    assert (found.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert torch.equal(found, torch.from_numpy(images)[:, None])
    assert labels.tolist() == list(range(10))
    found, labels = load_idx(tmp_path / root, "fashion-mnist", "test")
    assert torch.equal(found, torch.from_numpy(images).flip(0)[:, None])
    assert labels.tolist() == list(range(10))[::-1]


def test_folder_of_any_other_name(tmp_path: Path) -> None:
    write_set(tmp_path / "digits", "mnist", some_images(10, 28, 28), DIGITS, ".gz")
    assert find_raw_folder(tmp_path / "digits", "mnist") == tmp_path / "digits"


@pytest.mark.parametrize("form", ["{0}", "{1}", "{0}/{0}", "{1}/{1}"])
def test_files_are_found_by_the_names_that_kaggle_has(tmp_path: Path, form: str) -> None:
    images = some_images(10, 28, 28)
    write_set(tmp_path / "mnist", "mnist", images, DIGITS)
    for file in list((tmp_path / "mnist").iterdir()):
        other = tmp_path / "kaggle" / form.format(file.name, file.name.replace("-idx", ".idx"))
        other.parent.mkdir(parents=True, exist_ok=True)
        file.rename(other)
    assert torch.equal(load_idx(tmp_path / "kaggle", "mnist", "train")[0][:, 0], torch.from_numpy(images))


@pytest.mark.parametrize("root", ["MNIST", "MNIST/raw"])
def test_one_set_is_not_taken_for_another(tmp_path: Path, root: str) -> None:
    write_set(tmp_path / "MNIST" / "raw", "mnist", some_images(10, 28, 28), DIGITS)
    with pytest.raises(DataError, match="lacks train-images-idx3-ubyte"):
        load_idx(tmp_path / root, "kmnist", "train")


def test_missing_files_say_where_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_idx(tmp_path, "mnist", "train")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'MNIST' / 'raw'} lacks train-images-idx3-ubyte, train-labels-idx1-ubyte, ")
    assert f"(nor is any of them in {tmp_path / 'raw'} or {tmp_path})" in message
    assert "Pass download=True, or put the files there" in message
    write_set(tmp_path / "MNIST" / "raw", "mnist", some_images(10, 28, 28), DIGITS)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").unlink()
    assert len(load_idx(tmp_path, "mnist", "train")[0]) == 10
    with pytest.raises(DataError, match=r"raw lacks t10k-labels-idx1-ubyte\. Pass download=True"):
        load_idx(tmp_path, "mnist", "test")


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"Did you mean 'kmnist'"):
        load_idx(tmp_path, "kmnst", "train")


@pytest.mark.unchecked
def test_unknown_split(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="split is 'validation'"):
        load_idx(tmp_path, "mnist", "validation")  # type: ignore[arg-type]  # the mistake under test


def test_counts_that_differ(tmp_path: Path) -> None:
    write_set(tmp_path, "mnist", some_images(9, 28, 28), DIGITS)
    with pytest.raises(DataError, match=r"ubyte holds 9 images and .*ubyte holds 10 labels"):
        load_idx(tmp_path, "mnist", "train")


@pytest.mark.parametrize(("label", "name"), [(10, "uint8"), (255, "uint8"), (-1, "int8"), (70000, "int32")])
def test_label_outside_the_classes(tmp_path: Path, label: int, name: str) -> None:
    labels = DIGITS.astype(name)
    labels[[4, 7]] = label
    write_set(tmp_path, "mnist", some_images(10, 28, 28), labels)
    with pytest.raises(DataError, match=rf"label {label} of record 4 is outside 0 to 9.*\(2 such records\)"):
        load_idx(tmp_path, "mnist", "train")


@pytest.mark.parametrize(
    "array",
    [some_images(10, 28), some_images(10, 28, 28, 3), some_images(10, 28, 20), np.zeros((10, 28, 28), np.int16)],
)
def test_files_that_are_no_images(tmp_path: Path, array: NDArray[np.generic]) -> None:
    write_set(tmp_path, "mnist", array, DIGITS)
    with pytest.raises(
        DataError, match=r"images-idx3-ubyte holds .* expected uint8 values of shape \[images, 28, 28\]"
    ):
        load_idx(tmp_path, "mnist", "train")


def test_no_images_at_all(tmp_path: Path) -> None:
    write_set(tmp_path, "mnist", some_images(0, 28, 28), DIGITS[:0])
    with pytest.raises(DataError, match=re.escape("shape [0, 28, 28]; expected uint8 values")):
        load_idx(tmp_path, "mnist", "train")


@pytest.mark.parametrize("array", [np.zeros(10, np.float32), some_images(10, 8), some_images(10, 28, 28)])
def test_files_that_are_no_labels(tmp_path: Path, array: NDArray[np.generic]) -> None:
    write_set(tmp_path, "mnist", some_images(10, 28, 28), array)
    with pytest.raises(DataError, match=r"labels-idx1-ubyte holds .* expected labels: whole numbers"):
        load_idx(tmp_path, "mnist", "train")


def test_emnist_is_upright_and_counts_from_zero(tmp_path: Path) -> None:
    images = some_images(5000, 28, 28)  # more than one block of the transposition
    labels = (np.arange(5000) % 26 + 1).astype(np.uint8)
    write_set(tmp_path / "EMNIST" / "raw", "emnist-letters", images, labels, ".gz")
    found, classes = load_idx(tmp_path, "emnist-letters", "train")
    assert torch.equal(found[:, 0], torch.from_numpy(images).mT)
    assert torch.equal(classes, torch.arange(5000) % 26)
    labels[3] = 0
    write_set(tmp_path / "EMNIST" / "raw", "emnist-letters", images, labels, ".gz")
    with pytest.raises(DataError, match="label 0 of record 3 is outside 1 to 26"):
        load_idx(tmp_path, "emnist-letters", "train")


def serve(monkeypatch: pytest.MonkeyPatch, dataset: str, served: Path, *mirrors: str) -> None:
    """Have a data set downloaded from mirrors on this machine."""
    changed = replace(IDX_DATASETS[dataset], mirrors=mirrors, md5=checksums(served))
    monkeypatch.setitem(IDX_DATASETS, dataset, changed)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """Serve a folder on this machine; yield its address and the folder."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", folder
        server.shutdown()
        thread.join()


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


def checksums(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_download_of_single_files(tmp_path: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    address, served = mirror
    images = some_images(10, 28, 28)
    write_set(served, "kmnist", images, DIGITS, ".gz")
    serve(monkeypatch, "kmnist", served, address + "absent/", address)
    root = tmp_path / "root"
    download_idx(root, "kmnist")
    found, _ = load_idx(root, "kmnist", "test")
    assert torch.equal(found, torch.from_numpy(images).flip(0)[:, None])
    raw = root / "KMNIST" / "raw"
    assert {path.name for path in raw.glob("*.gz")} == set(IDX_DATASETS["kmnist"].md5)
    for path in served.glob("train*"):
        path.unlink()
    for path in raw.glob("t10k*"):
        path.unlink()
    download_idx(raw, "kmnist")  # what is missing, and nothing else
    assert {path.name for path in raw.glob("*.gz")} == set(IDX_DATASETS["kmnist"].md5)
    for path in served.iterdir():
        path.unlink()
    for path in raw.glob("t10k*"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    download_idx(root / "KMNIST", "kmnist")  # everything is there, plain or compressed: no address is asked


@pytest.mark.parametrize("root", ["root", "root/KMNIST", "root/KMNIST/raw"])
def test_download_goes_to_torchvisions_layout(
    tmp_path: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    address, served = mirror
    write_set(served, "kmnist", some_images(10, 28, 28), DIGITS, ".gz")
    serve(monkeypatch, "kmnist", served, address)
    download_idx(tmp_path / root, "kmnist")
    assert find_raw_folder(tmp_path / "root", "kmnist") == tmp_path / "root" / "KMNIST" / "raw"


def test_download_of_another_file_is_refused(
    tmp_path: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, served = mirror
    write_set(served, "kmnist", some_images(10, 28, 28), DIGITS, ".gz")
    monkeypatch.setitem(IDX_DATASETS, "kmnist", replace(IDX_DATASETS["kmnist"], mirrors=(address,)))
    with pytest.raises(DownloadError, match=r"train-images-idx3-ubyte\.gz could not be downloaded"):
        download_idx(tmp_path / "root", "kmnist")
    assert not list(tmp_path.glob("root/KMNIST/raw/*.gz"))


def test_download_of_an_archive(tmp_path: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    address, served = mirror
    images = some_images(10, 28, 28)
    write_set(tmp_path / "gzip", "emnist-mnist", images, DIGITS, ".gz")
    with zipfile.ZipFile(served / "gzip.zip", "w") as file:
        for path in (tmp_path / "gzip").iterdir():
            file.write(path, f"gzip/{path.name}")
    serve(monkeypatch, "emnist-mnist", served, address)
    download_idx(tmp_path / "root", "emnist-mnist")
    found, _ = load_idx(tmp_path / "root", "emnist-mnist", "train")
    assert torch.equal(found[:, 0], torch.from_numpy(images).mT)
    (served / "gzip.zip").unlink()
    download_idx(
        tmp_path / "root", "emnist-mnist"
    )  # the archive is kept, and gives the other split and the other subsets
    raw = tmp_path / "root" / "EMNIST" / "raw"
    next(raw.glob("emnist*")).unlink()
    download_idx(tmp_path / "root", "emnist-mnist")  # the archive is kept, and gives missing files and other subsets
    assert {path.name for path in raw.glob("emnist*")} == {path.name for path in (tmp_path / "gzip").iterdir()}


def test_real_mnist(data_root: Path) -> None:
    images, labels = load_idx(data_root, "mnist", "train")
    assert images.shape == (60000, 1, 28, 28)
    assert labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert images.double().mean().item() / 255 == pytest.approx(0.13066, abs=5e-6)
    images, labels = load_idx(data_root / "MNIST", "mnist", "test")
    assert images.shape == (10000, 1, 28, 28)
    assert labels.shape == (10000,)
