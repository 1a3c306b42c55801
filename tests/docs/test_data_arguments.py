"""The tables of arguments in docs/data.md: complete, for every data module, and what the command line takes."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from jsonargparse import ArgumentParser

import visiontasks

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "data.md").read_text()
LISTED = re.findall(r"^```\{data-arguments\} (\w+)$", PAGE, re.MULTILINE)
NAMES = [name for name in dir(visiontasks) if name.endswith("DataModule") and name != "VisionDataModule"]


@pytest.fixture(scope="module")
def extension() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS / "_extensions")
        import data_arguments  # type: ignore[import-not-found]  # in the folder that was added

        yield data_arguments
    del sys.modules["data_arguments"]


def test_every_data_module_has_its_table() -> None:
    assert set(LISTED) == {*NAMES, "VisionDataModule", "FileDataModule"}
    assert len(LISTED) == len(set(LISTED))


@pytest.mark.parametrize("name", NAMES)
def test_tables_hold_the_flags_and_defaults_of_the_command_line(name: str, extension: ModuleType) -> None:
    module = getattr(visiontasks, name)
    parser = ArgumentParser()
    parser.add_class_arguments(module, "data")
    defaults = vars(parser.get_defaults()["data"])
    shown = [extension.TABLES[name], extension.TABLES["VisionDataModule"]]
    if issubclass(module, extension.lightning_modules.FileDataModule):
        shown.insert(1, extension.TABLES["FileDataModule"])
    rows: dict[str, str] = {}
    for table in shown:
        for argument, default in re.findall(r"^\| `(\w+)` \| `(.*?)` \| .+ \|$", table, re.MULTILINE):
            rows.setdefault(argument, default)
    assert rows == {argument: repr(default) for argument, default in defaults.items()}


def test_an_argument_that_no_docstring_describes_is_refused(extension: ModuleType) -> None:
    class PhotoDataModule(visiontasks.FolderDataModule):
        """Photos.

        Args:
            known: Described.
        """

        def __init__(self, known: int = 1, unknown: int = 2) -> None:
            super().__init__(batch_size=known + unknown)

    PhotoDataModule.__module__ = "visiontasks.photos"
    with pytest.raises(LookupError, match="PhotoDataModule does not describe 'unknown'"):
        extension.own_arguments(PhotoDataModule)


def test_roles_are_written_in_the_notation_of_markdown(extension: ModuleType) -> None:
    meaning = 'One of :meth:`a\n    <b.c>`, or ``"a|b"``.'
    (row,) = extension.table([extension.Argument("x", "1", meaning)]).splitlines()[2:]
    assert row == '| `x` | `1` | One of {meth}`a <b.c>`, or ``"a\\|b"``. |'
