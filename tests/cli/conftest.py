"""What the tests of commands share: a count of the checkpoints that a command reads."""

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from visiontasks import serialization


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were opened to be read whole, and of those that torch loaded past the reader."""
    opened: list[str] = []
    open_source, load = serialization.open_source, torch.load

    def count(source: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
        if isinstance(source, str | Path):
            opened.append(Path(source).name)
        return open_source(source)

    def watch(source: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
        if isinstance(source, str | Path) and not options.get("mmap"):
            opened.append(f"past the reader: {source}")
        return load(source, *rest, **options)

    monkeypatch.setattr(serialization, "open_source", count)
    monkeypatch.setattr("visiontasks.cli.propose.open_source", count)
    monkeypatch.setattr(torch, "load", watch)
    return opened


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], list[dict[str, Any]]]:
    """Watch a function by the module that calls it: note the arguments of each call by name, and let it work."""

    def watch(module: str, name: str) -> list[dict[str, Any]]:
        function, noted = getattr(import_module(module), name), list[dict[str, Any]]()

        def noting(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
            noted.append(inspect.signature(function).bind(*args, **kwargs).arguments)
            return function(*args, **kwargs)

        monkeypatch.setattr(f"{module}.{name}", noting)
        return noted

    return watch
