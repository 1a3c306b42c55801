import re

import pytest
from torchvision import datasets as reference

from visiontasks.data.datasets.idx_datasets import IDX_DATASETS, get_idx_dataset
from visiontasks.errors import ArgumentError

REFERENCES = {"mnist": reference.MNIST, "fashion-mnist": reference.FashionMNIST, "kmnist": reference.KMNIST}


@pytest.mark.parametrize("name", REFERENCES)
def test_files_and_checksums_are_torchvisions(name: str) -> None:
    described, expected = IDX_DATASETS[name], REFERENCES[name]
    assert described.folder == expected.__name__
    assert described.md5 == dict(expected.resources)
    assert set(described.md5) == {f"{file}.gz" for split in ("train", "test") for file in described.files(split)}
    assert described.mirrors[0] in expected.mirrors
    assert len(described.class_names) == len(expected.classes)
    if name != "mnist":  # torchvision calls a digit "0 - zero"
        assert list(described.class_names) == expected.classes


@pytest.mark.parametrize("subset", reference.EMNIST.splits)
def test_emnist_is_torchvisions(subset: str) -> None:
    described = IDX_DATASETS[f"emnist-{subset}"]
    classes = reference.EMNIST.classes_split_dict[subset]
    assert ["N/A"] * described.first_label + list(described.class_names) == classes
    assert described.md5 == {described.archive: reference.EMNIST.md5}
    assert described.mirrors[0] + described.archive == reference.EMNIST.url
    assert described.transposed
    assert described.files("train")[0] == f"emnist-{subset}-train-images-idx3-ubyte"
    assert described.files("test")[1] == f"emnist-{subset}-test-labels-idx1-ubyte"


def test_every_emnist_subset_is_there() -> None:
    assert {f"emnist-{subset}" for subset in reference.EMNIST.splits} | set(REFERENCES) == set(IDX_DATASETS)


@pytest.mark.parametrize(
    ("name", "near"), [("fashionmnist", "'fashion-mnist'"), ("EMNIST-Letters", "'emnist-letters'"), ("cifar", "Known:")]
)
def test_unknown_name_lists_near_matches(name: str, near: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(f"unknown data set {name!r}. ")) as caught:
        get_idx_dataset(name)
    assert near in str(caught.value)


@pytest.mark.unchecked
def test_unknown_split() -> None:
    with pytest.raises(ArgumentError, match="split is 'val'; expected 'train' or 'test'"):
        IDX_DATASETS["mnist"].files("val")  # type: ignore[arg-type]  # the mistake under test
