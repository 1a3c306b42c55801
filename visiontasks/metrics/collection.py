"""The values of several metrics by their names."""

from torch import Tensor
from torchmetrics import MetricCollection

from visiontasks.metrics.empty_states import fill_empty_states


def compute_all(metrics: MetricCollection) -> dict[str, Tensor]:
    """Compute metrics, over all processes, with names that do not depend on which others there are.

    ``MetricCollection.compute`` puts the name of the metric before every key of a dictionary as soon as two metrics
    have a key in common, which changes names that are monitored; here only the later of the two gets one.

    Args:
        metrics: The metrics; one gives a tensor, or a dictionary of them.

    Returns:
        The values; each name starts with the prefix of the collection.

    Example:
        >>> from torchmetrics import MeanMetric
        >>> metrics = MetricCollection({"mean": MeanMetric()}, prefix="val/")
        >>> metrics.update(3.0)
        >>> compute_all(metrics)
        {'val/mean': tensor(3.)}
    """
    fill_empty_states(metrics.values())
    values: dict[str, Tensor] = {}
    for name, metric in metrics.items(keep_base=True):
        computed = metric.compute()
        for key, value in computed.items() if isinstance(computed, dict) else [(name, computed)]:
            values[f"{name}_{key}" if key in values else key] = value
    return {f"{metrics.prefix or ''}{name}": value for name, value in values.items()}
