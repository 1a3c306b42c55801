from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed

from visiontasks.data.loading.processes import on_first_process
from visiontasks.errors import DataError


@pytest.fixture(params=[False, True])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[None]:
    """With and without a group of processes."""
    if request.param:
        distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'group'}", rank=0, world_size=1)
    yield
    if request.param:
        distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_the_result_or_its_error_is_that_of_the_first_process() -> None:
    assert torch.equal(on_first_process(lambda: torch.arange(3)), torch.arange(3))

    def fail() -> int:
        message = "3.png is damaged"
        raise DataError(message)

    with pytest.raises(DataError, match=r"3\.png is damaged"):
        on_first_process(fail)
