from collections.abc import Iterator

from visiontasks.prediction.pipeline import in_order


def test_items_are_not_taken_far_ahead_of_the_results() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(20):
            taken.append(item)
            yield item

    results = in_order(lambda item: -item, items(), threads=2, ahead=3)
    assert [next(results), next(results)] == [0, -1]
    assert taken == [0, 1, 2, 3, 4]
    assert list(results) == [-item for item in range(2, 20)]
