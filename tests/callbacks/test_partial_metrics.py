import pytest
import torch
from torchmetrics import CatMetric, MeanMetric, Metric

from visiontasks.callbacks.partial_metrics import gather_states, set_states
from visiontasks.metrics.loss_mean import LossMean


def test_a_metric_that_goes_on_from_states_counts_as_updated_and_one_without_does_not() -> None:
    first, unused = MeanMetric(), MeanMetric()
    first.update(2.0)
    states = gather_states([first, unused])
    assert states[1] == {}
    metrics = [MeanMetric(), MeanMetric()]
    set_states(metrics, states)
    assert [metric.update_called for metric in metrics] == [True, False]
    metrics[0].update(4.0)
    assert metrics[0].compute() == 3


@pytest.mark.parametrize(("metric_type", "name"), [(MeanMetric, "mean_value"), (CatMetric, "value")])
def test_states_are_copies_that_later_batches_leave_alone(metric_type: type[Metric], name: str) -> None:
    seen, resumed = metric_type(), metric_type()
    seen.update(1.0)
    states = gather_states([seen])
    set_states([resumed], states)
    for metric in (seen, resumed):
        state = getattr(metric, name)
        (state[0] if isinstance(state, list) else state).add_(5)
    (state,) = gather_states([resumed])[0][name] if metric_type is CatMetric else [gather_states([resumed])[0][name]]
    assert state == 6
    kept = states[0][name]
    assert (kept[0] if isinstance(kept, list) else kept) == 1


def test_a_mean_loss_goes_on_with_terms_that_it_has_not_seen_yet() -> None:
    seen, resumed = LossMean(), LossMean()
    seen.update({"loss": torch.tensor(2.0), "loss_box": torch.tensor(1.0)}, 3)
    set_states([resumed], gather_states([seen]))
    resumed.update({"loss": torch.tensor(6.0), "loss_box": torch.tensor(5.0)}, 1)
    assert resumed.compute() == {"loss": 3, "loss_box": 2}
    resumed.reset()
    resumed.update({"loss": torch.tensor(1.0)}, 1)
    assert resumed.compute()["loss"] == 1


def test_a_checkpoint_of_an_earlier_release_has_no_mean_losses() -> None:
    accuracy, losses = MeanMetric(), LossMean()
    earlier = MeanMetric()
    earlier.update(2.0)
    set_states([accuracy, losses], gather_states([earlier]))
    assert accuracy.compute() == 2
    assert not losses.update_called
