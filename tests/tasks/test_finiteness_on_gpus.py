"""Updates that a fused optimiser leaves out on a GPU, seen on a pretended one."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import SGD, AdamW, RMSprop

from tests.tasks.bad_steps import Bad, batches
from visiontasks.errors import NonFiniteLossError
from visiontasks.tasks import finiteness


def no_event(device: torch.device) -> Any:  # noqa: ANN401 - stands for an event of a GPU
    class Arrived:
        def record(self) -> None:
            pass

        def synchronize(self) -> None:
            pass

    return Arrived()


@pytest.mark.parametrize("optimizer", [AdamW, partial(SGD, momentum=0.9)])
@pytest.mark.parametrize(
    ("kind", "what"), [("loss", r"loss .* added nan"), ("gradient", r"gradient .*backbone\S+ nan")]
)
def test_a_fused_optimiser_leaves_out_the_update_by_itself_and_the_training_stops_later(
    optimizer: Callable[..., Any], kind: str, what: str, fit: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a GPU: the kernels of the CPU leave out an update in the same way.
    monkeypatch.setattr(finiteness, "_can_leave_out", lambda _: True)
    monkeypatch.setattr(torch, "Event", no_event)
    steps: list[int] = []
    validations: list[int] = []

    class Counting(Bad):
        def on_train_batch_end(self, *args: object) -> None:
            steps.append(self.global_step)
            weights.append([value.detach().clone() for value in self.parameters()])

        def on_validation_epoch_start(self) -> None:
            validations.append(self.global_step)
            super().on_validation_epoch_start()

    weights: list[list[Tensor]] = []
    torch.manual_seed(1)
    task = Counting({10: kind}, optimizer=partial(optimizer, lr=0.01))
    with pytest.raises(NonFiniteLossError, match=r"not finite at step 1 .*ids \[10, 11, 12, 13\]") as error:
        fit(task, batches(4), max_epochs=1)
    assert steps == [1, 2]
    assert all(torch.equal(*pair) for pair in zip(*weights, strict=True))
    assert all(torch.equal(*pair) for pair in zip(weights[1], task.parameters(), strict=True))
    assert re.search(what, str(error.value))
    # Before a validation, and if it was the last step.
    with pytest.raises(NonFiniteLossError, match="at step 1"):
        fit(Counting({10: kind}, optimizer=partial(optimizer, lr=0.01)), batches(4), max_epochs=1, val_check_interval=2)
    assert not validations
    with pytest.raises(NonFiniteLossError, match="at step 1"):
        fit(Counting({10: kind}, optimizer=partial(optimizer, lr=0.01)), batches(2), max_epochs=1, limit_val_batches=0)


def test_whether_the_host_has_to_wait() -> None:
    class OnGPU(torch.nn.Parameter):
        is_cuda = True

    class Mine(AdamW):
        """May update as it likes."""

    here, there = torch.nn.Parameter(torch.zeros(2)), OnGPU(torch.zeros(2))
    for optimizer, fused, able in (
        (AdamW([here]), True, False),
        (AdamW([there]), None, False),
        (AdamW([there]), True, True),
        (SGD([there], 0.1), True, True),
        (Mine([there]), True, False),
        (RMSprop([there]), True, False),
    ):
        optimizer.param_groups[0]["fused"] = fused
        assert finiteness._can_leave_out(optimizer) == able
