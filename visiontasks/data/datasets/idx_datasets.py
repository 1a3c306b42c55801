"""The published data sets in IDX format."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from visiontasks.errors import ArgumentError, near_matches

Split = Literal["train", "test"]


@dataclass(frozen=True)
class IdxDataset:
    """A data set of IDX files: one of images and one of labels per split, plain or with ``.gz`` appended.

    Attributes:
        class_names: Names of the classes, in the order of the labels.
        folder: Folder of the data set below the root; its files are in the subfolder ``raw``.
        mirrors: Base addresses, to which the name of the file to download is appended.
        md5: MD5 digest of each file to download.
        train_images: File of the training images: uint8, [images, height, width].
        train_labels: File of the training labels: whole numbers, [images].
        test_images: File of the test images.
        test_labels: File of the test labels.
        first_label: Value of the first class in the label files.
        transposed: Whether the images are stored column by column.
        archive: Zip file to download, which contains the files in its folder ``gzip``; empty if each file is downloaded
            by itself.

    Example:
        >>> IDX_DATASETS["kmnist"].files("test")
        ('t10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')
    """

    class_names: Sequence[str]
    folder: str
    mirrors: Sequence[str]
    md5: Mapping[str, str]
    train_images: str = "train-images-idx3-ubyte"
    train_labels: str = "train-labels-idx1-ubyte"
    test_images: str = "t10k-images-idx3-ubyte"
    test_labels: str = "t10k-labels-idx1-ubyte"
    first_label: int = 0
    transposed: bool = False
    archive: str = ""

    def files(self, split: Split) -> tuple[str, str]:
        """Return the names of the files of a split: images, labels."""
        if split not in get_args(Split):
            message = f"split is {split!r}; expected 'train' or 'test'."
            raise ArgumentError(message)
        return (self.train_images, self.train_labels) if split == "train" else (self.test_images, self.test_labels)


def _emnist(subset: str, class_names: Sequence[str], first_label: int = 0) -> IdxDataset:
    return IdxDataset(
        class_names=class_names,
        folder="EMNIST",
        train_images=f"emnist-{subset}-train-images-idx3-ubyte",
        train_labels=f"emnist-{subset}-train-labels-idx1-ubyte",
        test_images=f"emnist-{subset}-test-images-idx3-ubyte",
        test_labels=f"emnist-{subset}-test-labels-idx1-ubyte",
        first_label=first_label,
        transposed=True,
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        md5={"gzip.zip": "58c8d27c78d21e728a6bc7b3cc06412e"},
        archive="gzip.zip",
    )


_DIGITS = tuple(string.digits)
# Fifteen letters look the same in both cases; these data sets count them as upper case.
_MERGED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")

IDX_DATASETS: dict[str, IdxDataset] = {
    "mnist": IdxDataset(
        class_names=_DIGITS,
        folder="MNIST",
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        md5={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion-mnist": IdxDataset(
        class_names=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        folder="FashionMNIST",
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        md5={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": IdxDataset(
        class_names=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        folder="KMNIST",
        mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
        md5={
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "emnist-balanced": _emnist("balanced", _MERGED),
    "emnist-byclass": _emnist("byclass", tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)),
    "emnist-bymerge": _emnist("bymerge", _MERGED),
    "emnist-digits": _emnist("digits", _DIGITS),
    "emnist-letters": _emnist("letters", tuple(string.ascii_lowercase), first_label=1),
    "emnist-mnist": _emnist("mnist", _DIGITS),
}


def get_idx_dataset(dataset: str) -> IdxDataset:
    """Look up a data set by its name.

    Raises:
        ArgumentError: The name is unknown; near matches are listed.

    Example:
        >>> get_idx_dataset("kmnist").class_names[:3]
        ('o', 'ki', 'su')
    """
    if dataset not in IDX_DATASETS:
        message = f"unknown data set {dataset!r}. {near_matches(dataset, IDX_DATASETS)}"
        raise ArgumentError(message)
    return IDX_DATASETS[dataset]
