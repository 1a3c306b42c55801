import pytest
import torch

from tests.pretended_gpu import GPU, pretended_gpu
from visiontasks.tasks.arriving import Arriving


def test_a_later_change_is_not_seen() -> None:
    value = torch.tensor(1.5)
    arriving = Arriving(value)
    value.fill_(2.0)
    assert arriving.arrived
    assert arriving.item() == 1.5


def test_the_host_does_not_wait_for_what_leaves_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu():
        value = torch.tensor(True).to(GPU)
    with pretended_gpu(may_wait=False):
        arriving = Arriving(value)
        assert arriving.arrived
        assert arriving.item() is True
        monkeypatch.setattr(torch.Event, "query", lambda event: False)
        assert not arriving.arrived
