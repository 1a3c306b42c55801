import pytest

from visiontasks.errors import ArgumentError
from visiontasks.losses.factors import parse_factors

KNOWN = ["dice", "focal", "lovasz"]


def test_one_name_counts_once_and_several_have_factors() -> None:
    assert parse_factors("focal", KNOWN) == {"focal": 1.0}
    assert parse_factors({"dice": 0.5, "lovasz": 2}, KNOWN) == {"dice": 0.5, "lovasz": 2}


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ("dize", "There is no loss 'dize'.*dice"),
        ({"dice": 1.0, "focal": 0.0}, "factor of the loss 'focal' is 0.0; expected a positive number"),
        ({"dice": float("nan")}, "expected a positive number"),
        ({}, "expected at least one loss of dice, focal, lovasz"),
    ],
)
def test_what_cannot_be_summed_is_an_error(loss: str | dict[str, float], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        parse_factors(loss, KNOWN)
