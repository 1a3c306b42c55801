<<<<<<< HEAD
from collections.abc import Iterator

from visiontasks.prediction.pipeline import in_order


def test_items_are_not_taken_far_ahead_of_the_results() -> None:
=======
"""Work that is done ahead of its results."""

import threading
from collections.abc import Iterator

import pytest

from visiontasks.prediction.pipeline import in_order


@pytest.mark.parametrize(("threads", "ahead"), [(1, 0), (1, 3), (3, 1), (2, 5)])
def test_no_more_items_are_taken_than_was_allowed(threads: int, ahead: int) -> None:
>>>>>>> h4
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

<<<<<<< HEAD
    results = in_order(lambda item: -item, items(), threads=2, ahead=3)
    assert [next(results), next(results)] == [0, -1]
    assert taken == [0, 1, 2, 3, 4]
    assert list(results) == [-item for item in range(2, 20)]
=======
    results = in_order(lambda item: item * item, items(), threads, ahead)
    for number, result in enumerate(results):
        assert result == number**2
        assert len(taken) == min(20, number + 1 + ahead)
    assert number == 19


def test_what_was_begun_ends_with_the_reader_or_with_an_error() -> None:
    before = threading.active_count()
    results = in_order(abs, [-1, -2, -3, -4], threads=2, ahead=2)
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda item: 1 / item, [1, 0, 2], threads=2, ahead=2))
    assert threading.active_count() == before
>>>>>>> h4
