import inspect
import math
from contextlib import nullcontext

import pytest

from visiontasks import errors
from visiontasks.errors import (
    ArgumentError,
    DataError,
    DownloadError,
    VisiontasksError,
    check_range,
    listed,
    near_matches,
)


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


def test_a_list_of_hundreds_of_names_is_cut_after_ten() -> None:
    said = near_matches("zebra", [f"model{index:03}" for index in range(1000)])
    assert said.startswith("Known: 'model000', ")
    assert said.endswith("'model009' and 990 others.")
    assert near_matches("zebra", [f"model{index:03}" for index in range(40)]).endswith("'model039'.")


def test_a_name_that_is_known_twice_is_said_once() -> None:
    assert near_matches("x", ["16", "32", "16"]) == "Known: '16', '32'."


@pytest.mark.parametrize(
    ("count", "expected"), [(3, "0, 1, 2"), (4, "0, 1, 2 and 1 other"), (9, "0, 1, 2 and 6 others")]
)
def test_the_beginning_of_a_list_is_written(count: int, expected: str) -> None:
    assert listed([str(number) for number in range(count)], 3) == expected


@pytest.mark.parametrize(("value", "fits"), [(0, True), (1, True), (-0.1, False), (1.1, False), (math.nan, False)])
def test_a_range_includes_its_ends(value: float, fits: bool) -> None:
    with nullcontext() if fits else pytest.raises(ArgumentError, match=r"share is .*; expected 0 to 1\."):
        check_range(0, 1, share=value)
