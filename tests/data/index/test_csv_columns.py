from pathlib import Path

import pytest

from visiontasks.data.index.csv_columns import flag_columns, open_table, read_header


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
def test_separators_are_found_by_the_names_of_columns(mark: str, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f'file{mark}"a, b; c"{mark}class\n"1;,.jpg"{mark}x{mark}cat\n\n2.jpg{mark}{mark}dog\n')
    with open_table(file, {}) as (header, rows):
        assert header.columns == {"file": 0, "class": 2}
        assert list(rows) == [(2, ["1;,.jpg", "x", "cat"]), (4, ["2.jpg", "", "dog"])]


def test_a_column_that_is_named_has_no_other_meaning() -> None:
    header = read_header(["image", "class", "width", "label"], {"xmax": "width", "class": "label"})
    assert (header.columns, header.others()) == ({"file": 0, "class": 3, "xmax": 2}, [1])
    assert read_header(["image", "path"], {}).ambiguous == {"file": ["image", "path"]}
    assert read_header(["image"], {"class": "breed"}).missing == ["breed"]


def test_columns_of_flags_are_at_least_two() -> None:
    header = read_header(["file", "a", "b", "c", ""], {})
    assert flag_columns(header, [["x", "0", "1.0", "0", "0"], ["y", "1", "0", "2", "1"]]) == [1, 2]
    assert flag_columns(header, [["x", "0", "7", "5", "0"]]) == []
    assert flag_columns(header, []) == []
