"""Reading of data sets in IDX format: MNIST, Fashion-MNIST, KMNIST and EMNIST."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from visiontasks.data.datasets.idx_datasets import IDX_DATASETS, IdxDataset, Split, get_idx_dataset
from visiontasks.data.datasets.idx_file import read_idx
from visiontasks.data.download.archive import extract_members
from visiontasks.data.download.transfer import download
from visiontasks.errors import DataError

_SIZE = 28, 28
"""Height and width of the images of every published data set."""


def find_raw_folder(root: str | Path, dataset: str) -> Path:
    """Find the folder that contains the files of a data set, or some of them.

    Args:
        root: The root that torchvision uses (parent of ``MNIST/raw``), the folder ``MNIST``, or ``raw`` itself.
        dataset: Name of the data set.

    Raises:
        ArgumentError: The name is unknown.
        DataError: None of these folders contains a file of the data set.
    """
    described = get_idx_dataset(dataset)
    folder = _existing_folder(root, described)
    if folder is None:
        first, *others = _candidate_folders(root, described)
        raise _missing(first, _all_files(described), others)
    return folder


def download_idx(root: str | Path, dataset: str) -> None:
    """Download the missing files of a data set and verify their checksums.

    Args:
        root: As in `find_raw_folder`; new files go to torchvision's layout, ``root/MNIST/raw``.
        dataset: Name of the data set.

    Raises:
        ArgumentError: A name is unknown.
        DownloadError: A file could not be downloaded.
    """
    described = get_idx_dataset(dataset)
    folder = _existing_folder(root, described) or _candidate_folders(root, described)[0]
    names = [name for name in _all_files(described) if _existing_file(folder, name) is None]
    remote = [described.archive] if described.archive else [f"{name}.gz" for name in names]
    for name in remote if names else []:
        download([f"{mirror}{name}" for mirror in described.mirrors], folder / name, f"md5:{described.md5[name]}")
    if names and described.archive:
        extract_members(folder / described.archive, [f"gzip/{name}.gz" for name in names], folder)


def load_idx(
    root: str | Path, dataset: str, split: Split
) -> tuple[UInt8[Tensor, "images 1 height width"], Int64[Tensor, " images"]]:
    """Read a split into memory.

    Args:
        root: As in `find_raw_folder`.
        dataset: Name of the data set.
        split: ``"train"`` or ``"test"``.

    Returns:
        The images, upright, with values from 0 to 255, and their labels, from 0 to the number of classes - 1.

    Raises:
        ArgumentError: The name or the split is unknown.
        DataError: Files are missing, damaged or of the wrong kind, or images and labels do not match.
    """
    described = get_idx_dataset(dataset)
    names = described.files(split)
    folder = find_raw_folder(root, dataset)
    paths = [path for name in names if (path := _existing_file(folder, name))]
    if len(paths) < len(names):
        raise _missing(folder, [name for name in names if _existing_file(folder, name) is None])
    images, labels = _read_images(paths[0], described.transposed), _read_labels(paths[1], described)
    if len(images) != len(labels):
        message = (
            f"{paths[0]} holds {len(images)} images and {paths[1]} holds {len(labels)} labels; expected one label per "
            "image. The files are of different sets or splits: get both again from one source."
        )
        raise DataError(message)
    return images, labels


def _candidate_folders(root: str | Path, dataset: IdxDataset) -> list[Path]:
    """List the folders that may contain the files; new files belong in the first one."""
    base = Path(root).expanduser().absolute()
    home = inner = base / dataset.folder / "raw"
    if base.name == dataset.folder:
        home = base / "raw"
    elif base.parts[-2:] == (dataset.folder, "raw"):
        home = base
    folders = dict.fromkeys([home, inner, base / "raw", base])
    # The data sets use the same file names: the folder of one must not be taken for that of another.
    others = {other.folder for other in IDX_DATASETS.values()} - {dataset.folder}
    return [folder for folder in folders if (folder.parent if folder.name == "raw" else folder).name not in others]


def _existing_folder(root: str | Path, dataset: IdxDataset) -> Path | None:
    folders, names = _candidate_folders(root, dataset), _all_files(dataset)
    return next((folder for folder in folders if any(_existing_file(folder, name) for name in names)), None)


def _all_files(dataset: IdxDataset) -> tuple[str, ...]:
    return dataset.files("train") + dataset.files("test")


def _existing_file(folder: Path, name: str) -> Path | None:
    """Find a file, plain or compressed; Kaggle has train-images.idx3-ubyte, or the file in a folder of its name."""
    dotted = name.replace("-idx", ".idx")
    names = (name, f"{name}.gz", dotted, f"{dotted}.gz", f"{name}/{name}", f"{dotted}/{dotted}")
    return next((folder / form for form in names if (folder / form).is_file()), None)


def _missing(folder: Path, names: Sequence[str], others: Sequence[Path] = ()) -> DataError:
    looked = f" (nor is any of them in {' or '.join(str(other) for other in others)})" if others else ""
    return DataError(
        f"{folder} lacks {', '.join(names)}{looked}. Pass download=True, or put the files there, plain or with .gz "
        "appended."
    )


def _read_images(path: Path, transposed: bool) -> UInt8[Tensor, "images 1 height width"]:
    images = read_idx(path)
    if images.dtype != np.uint8 or images.shape[1:] != _SIZE or not len(images):
        message = (
            f"{path} holds {images.dtype.name} values of shape {list(images.shape)}; expected uint8 "
            f"values of shape [images, {_SIZE[0]}, {_SIZE[1]}], of one image at least. Get the file again."
        )
        raise DataError(message)
    if transposed:
        for start in range(0, len(images), 4096):  # in place: the largest set is half a gigabyte
            block = images[start : start + 4096]
            block[:] = block.swapaxes(1, 2)
    return torch.from_numpy(images)[:, None]


def _read_labels(path: Path, dataset: IdxDataset) -> Int64[Tensor, " images"]:
    labels = read_idx(path)
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        message = (
            f"{path} holds {labels.dtype.name} values of shape {list(labels.shape)}; expected labels: whole numbers, "
            "one per image. Get the file again."
        )
        raise DataError(message)
    classes = labels.astype(np.int64) - dataset.first_label
    wrong = np.flatnonzero((classes < 0) | (classes >= len(dataset.class_names)))
    if len(wrong):
        last = dataset.first_label + len(dataset.class_names) - 1
        message = (
            f"{path}: label {labels[wrong[0]]} of record {wrong[0]} is outside {dataset.first_label} to {last}, the "
            f"labels of {len(dataset.class_names)} classes ({len(wrong)} such records). Get the file "
            "again."
        )
        raise DataError(message)
    return torch.from_numpy(classes)
