import pytest

from visiontasks.cli.sides import both_sides


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("--size 9", "--size 9 9"),
        ("--size 9 8", "--size 9 8"),
        ("--size=9", "--size 9 9"),
        ("--size 9 a.png", "--size 9 9 a.png"),
        ("a.png --size 9 --other 3", "a.png --size 9 9 --other 3"),
        ("--other 9", "--other 9"),
        ("--size x", "--size x"),
        ("--size", "--size"),
        ("", ""),
    ],
)
def test_one_number_stands_for_both_sides(given: str, read: str) -> None:
    assert both_sides(given.split(), "--size") == read.split()
