"""What the tests of commands share: a count of the checkpoints that a command reads."""

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
