from pathlib import Path

import pytest

from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import build_index
from visiontasks.errors import DataError


def problem(number: int, severity: str = "error", kind: str = "bad box") -> Problem:
    return Problem(severity, kind, "a.json", f"object {number}", "[0, 0]", "Correct it.")  # type: ignore[arg-type]


def test_errors_are_one_exception_with_their_number_and_the_first_ten() -> None:
    index = build_index(Path(), [], ())
    problems = [problem(number) for number in range(12)] + [problem(99, "warning"), problem(12, kind="bad name")]
    with pytest.raises(DataError) as caught:
        Parsed(index, problems).require()
    lines = str(caught.value).splitlines()
    assert lines[0] == "13 errors in the annotations (12 x bad box, 1 x bad name):"
    assert lines[1] == "  a.json, object 0: bad box: [0, 0]. Correct it."
    assert lines[-1] == "  and 3 more."
    assert len(lines) == 12


def test_warnings_do_not_prevent_training() -> None:
    index = build_index(Path(), [], ())
    assert Parsed(index, [problem(0, "warning")]).require() is index


def test_a_problem_of_a_whole_file_names_no_record() -> None:
    assert (
        str(Problem("error", "file is no XML", "a.xml", "", "", "Correct it.")) == "a.xml: file is no XML. Correct it."
    )
