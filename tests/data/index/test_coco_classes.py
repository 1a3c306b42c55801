import numpy as np
import pytest

from visiontasks.data.index.coco_classes import choose_classes
from visiontasks.data.index.coco_records import Category


def category(number: int | str, name: str, parent: str | None = None) -> Category:
    return Category(number, name, parent)


@pytest.mark.parametrize("ids", [[10, 9, 2], ["10", "9", "2"], ["c", "b", "a"]])
def test_classes_are_in_the_order_of_their_ids(ids: list[int | str]) -> None:
    categories = [category(number, name) for number, name in zip(ids, "zyx", strict=True)]
    classes = choose_classes(categories, np.array([1, 0, 1]), None, "a.json")
    assert (classes.names, classes.ids, classes.labels.tolist()) == (("x", "y", "z"), ids[::-1], [2, 1, 0])
    assert not classes.problems


@pytest.mark.parametrize("root", [category(0, "dog", "none"), category(0, "pets"), category(7, "dog")])
def test_what_has_no_objects_and_is_no_class_of_its_own_is_left_out(root: Category) -> None:
    parent = str(root.name)
    categories = [category(1, "cat", parent), root, category(2, "dog", parent)]
    classes = choose_classes(categories, np.array([3, 0, 2]), None, "a.json")
    assert (classes.names, classes.ids, classes.problems) == (("cat", "dog"), [1, 2], [])


def test_a_root_with_objects_or_asked_for_is_a_class() -> None:
    categories = [category(0, "pets", "none"), category(1, "cat", "pets")]
    assert choose_classes(categories, np.array([1, 3]), None, "a.json").names == ("pets", "cat")
    classes = choose_classes(categories, np.array([0, 3]), ("cat", "pets", "cow"), "a.json")
    assert (classes.ids, classes.labels.tolist()) == ([1, 0, -1], [1, 0])


def test_a_class_that_is_not_asked_for_is_an_error_if_it_has_objects() -> None:
    categories = [category(0, "cat"), category(1, "dog")]
    (problem,) = choose_classes(categories, np.array([2, 4]), ("cat",), "a.json").problems
    assert (problem.severity, problem.kind, problem.value) == ("error", "unknown class", "'dog' of 4 objects")
    assert not choose_classes(categories, np.array([2, 0]), ("cat",), "a.json").problems
