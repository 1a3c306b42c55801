import pytest

from visiontasks.data.index.csv_classes import refused_cells, split_cell


@pytest.mark.parametrize(
    ("cell", "separator", "names"),
    [
        ("a|b", "|", ["a", "b"]),
        (" a , 'b',a", ",", ["a", "b"]),
        ('["a b", "c"]', ",", ["a b", "c"]),
        ("[]", ",", []),
        ("", ",", []),
        ("a|b", None, ["a|b"]),
        ("a b", " ", ["a", "b"]),
    ],
)
def test_cells_are_split(cell: str, separator: str | None, names: list[str]) -> None:
    assert split_cell(cell, separator) == names


@pytest.mark.parametrize(
    ("cells", "refused"),
    [
        (["a|b"], ["a|b"]),
        (["a", "b", "a b", "a c"], ["a b"]),
        (["a,b", "b,c", "a,c"], ["a,b", "a,c", "b,c"]),
        (["x, y", "v, w", "stop sign", "T-shirt/top", "(unknown)", ""], []),
        (["['a']", "b"], ["['a']"]),
        (["16 0", "16", "0"], ["16 0"]),
    ],
)
def test_cells_that_look_like_several_classes_are_refused(cells: list[str], refused: list[str]) -> None:
    assert [*refused_cells(cells)] == refused
