import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection

from visiontasks.metrics.collection import compute_all


class Pair(MeanMetric):
    """Gives two values."""

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]  # as detection's metrics do
        return {"one": super().compute(), "two": super().compute() + 1}


def test_names_do_not_depend_on_which_other_metrics_there_are() -> None:
    metrics = MetricCollection({"error": MeanMetric()}, prefix="val/", compute_groups=False)
    metrics.add_metrics({"first": Pair()})
    metrics.add_metrics({"again": Pair()})
    metrics.update(torch.tensor(3.0))
    found = {name: value.item() for name, value in compute_all(metrics).items()}
    assert found == {"val/error": 3, "val/one": 3, "val/two": 4, "val/again_one": 3, "val/again_two": 4}
