import pytest

from visiontasks.cli.parser import flag_value


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--a 1", "1"),
        ("--a=1", "1"),
        ("--a=1=2", "1=2"),
        ("--a 1 --a=2", "2"),
        ("--a=2 --a 1", "1"),
        ("--ab=2 --b --a", ""),
        ("", ""),
    ],
)
def test_the_last_value_of_a_flag_is_found_in_both_forms(words: str, expected: str) -> None:
    assert flag_value("--a", words.split()) == expected
