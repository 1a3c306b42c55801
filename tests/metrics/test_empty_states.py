"""What it does on several processes is tested in tests/distributed."""

import torch
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
