"""What tests of weights share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Any], Path]:
    """Save what is given to a file."""

    def run(content: Any) -> Path:  # noqa: ANN401 - anything
        torch.save(content, tmp_path / "weights.pt")
        return tmp_path / "weights.pt"

    return run
