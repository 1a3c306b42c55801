from importlib.metadata import version
from pathlib import Path

import pytest

from visiontasks.errors import DataError
from visiontasks.report import Environment, read_environment
from visiontasks.report.environment import FILE


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_environment(tmp_path) is None
    made = Environment.of_now("visiontasks fit", data=Path())
    assert made.versions["torch"] == version("torch")
    assert made.data.startswith("pathlib.")
    made.write(tmp_path)
    assert read_environment(tmp_path) == made


@pytest.mark.parametrize("text", ["{", "[]", '{"no": 1}'])
def test_a_damaged_file_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        read_environment(tmp_path)
