import torch
from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from visiontasks.metrics.collection import compute_all


class Pair(MeanMetric):
    """Gives two values."""

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]  # as detection's metrics do
        return {"one": super().compute(), "two": super().compute() + 1}


class OfClasses(MeanMetric):
    """Gives one value for each class, of which there is one."""

    by_class = ("each",)

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]  # as detection's metrics do
        return {"mean": super().compute(), "each": super().compute()[None]}


def test_the_value_of_a_single_class_remains_that_of_a_class() -> None:
    metrics = MetricCollection({"error": MeanMetric(), "map": OfClasses()}, compute_groups=False)
    metrics.add_metrics({"accuracy": MulticlassAccuracy(1, average=None, validate_args=False)})
    for metric in metrics.values():
        metric.update(torch.tensor([0]), torch.tensor([0])) if "Acc" in str(metric) else metric.update(3.0)
    assert {name: tuple(value.shape) for name, value in compute_all(metrics).items()} == {
        "error": (), "mean": (), "each": (1,), "accuracy": (1,),
    }  # fmt: skip


def test_names_do_not_depend_on_which_other_metrics_there_are() -> None:
    metrics = MetricCollection({"error": MeanMetric()}, prefix="val/", compute_groups=False)
    metrics.add_metrics({"first": Pair()})
    metrics.add_metrics({"again": Pair()})
    metrics.update(torch.tensor(3.0))
    found = {name: value.item() for name, value in compute_all(metrics).items()}
    assert found == {"val/error": 3, "val/one": 3, "val/two": 4, "val/again_one": 3, "val/again_two": 4}
