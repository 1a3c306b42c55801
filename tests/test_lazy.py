"""Lazy names: one list, read by type checkers and by the running program."""

import importlib
import sys
from pathlib import Path

import pytest

PACKAGE = """
from typing import TYPE_CHECKING

from visiontasks.lazy import lazy_names

if TYPE_CHECKING:
    from decimal import Decimal as Decimal
    from lazily.late import answer as answer

__all__, __getattr__, __dir__ = lazy_names(__name__)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a package with two lazy names, one of a module of its own."""
    package = tmp_path / "lazily"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE)
    (package / "late.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("lazily", "lazily.late"):
        monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.delitem(sys.modules, name)
    return package


def test_a_name_is_imported_when_it_is_first_used(folder: Path) -> None:
    package = importlib.import_module("lazily")
    assert package.__all__ == dir(package) == ["Decimal", "answer"]
    assert "lazily.late" not in sys.modules
    assert package.answer == 42
    assert "lazily.late" in sys.modules
    with pytest.raises(AttributeError, match="module 'lazily' has no attribute 'question'"):
        package.question  # noqa: B018 (raises)


def test_a_package_without_its_source_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.machinery.SourceFileLoader.get_source", lambda self, name: None)
    with pytest.raises(ImportError, match="lazily is installed without its source"):
        importlib.import_module("lazily")
