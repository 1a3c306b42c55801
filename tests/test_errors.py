import inspect

import pytest

from visiontasks import errors
from visiontasks.errors import ArgumentError, DataError, DownloadError, VisiontasksError, near_matches


def test_one_class_catches_every_error_of_the_library() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]
    assert len(kinds) >= 6
    assert all(issubclass(kind, VisiontasksError) and kind.__doc__ for kind in kinds)


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(DownloadError, DataError)


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("fashion_mnist", ["mnist", "fashion-mnist", "kmnist"], "Did you mean 'fashion-mnist'?"),
        ("ALEXNET", ["alexnet", "vgg16"], "Did you mean 'alexnet'?"),
        ("adamw", ["AdamW", "SGD"], "Did you mean 'AdamW'?"),
        ("zebra", ["cnn", "alexnet"], "Known: 'alexnet', 'cnn'."),
        ("", ["b", "a"], "Known: 'a', 'b'."),
    ],
)
def test_near_matches_are_said(name: str, known: list[str], expected: str) -> None:
    assert near_matches(name, known) == expected


def test_at_most_three_near_matches_are_said() -> None:
    assert near_matches("resnet1", [f"resnet{depth}" for depth in range(18, 30)]).count("resnet") == 3


def test_at_most_forty_known_names_are_listed() -> None:
    said = near_matches("zebra", [f"model{index:03}" for index in range(1000)])
    assert said.startswith("Known: 'model000', ")
    assert said.endswith("'model039' and 960 others.")


def test_a_name_that_is_known_twice_is_told_once() -> None:
    assert near_matches("zebra", ["cosine", "constant", "cosine"]) == "Known: 'constant', 'cosine'."
