"""What it does on several processes is tested in tests/distributed."""

from typing import Any

import pytest
import torch
from torch import distributed
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC

from visiontasks.metrics.empty_states import fill_empty_states


def test_one_process_has_nothing_to_agree_on() -> None:
    metric = MulticlassAUROC(3)
    fill_empty_states([metric, MulticlassAccuracy(3)])
    assert metric.preds == []
    metric.update(torch.eye(3), torch.arange(3))
    fill_empty_states([metric])
    assert [state.shape for state in metric.preds] == [(3, 3)]
    assert metric.compute() == 1


def test_a_process_without_images_takes_the_form_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def gather(everyone: list[Any], own: Any) -> None:  # noqa: ANN401 - as torch has it
        everyone[:] = [own, [(torch.float16, (3,)), (torch.int32, ())], [None, None]]

    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 3)
    monkeypatch.setattr(distributed, "all_gather_object", gather)
    empty, full = MulticlassAUROC(3), MulticlassAUROC(3)
    fill_empty_states([empty])
    assert [(state.dtype, state.shape) for state in empty.preds] == [(torch.float16, (0, 3))]
    assert [(state.dtype, state.shape) for state in empty.target] == [(torch.int32, (0,))]
    full.update(torch.eye(3), torch.arange(3))
    fill_empty_states([full])
    assert [state.shape for state in full.preds] == [(3, 3)]
