"""Work that is done ahead of its results."""

import threading
from collections.abc import Iterator

import pytest

from visiontasks.prediction.pipeline import in_order


@pytest.mark.parametrize(("threads", "ahead"), [(1, 0), (1, 3), (3, 1), (2, 5)])
def test_no_more_items_are_taken_than_was_allowed(threads: int, ahead: int) -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

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
