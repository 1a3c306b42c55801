"""Values of several metrics under stable names."""

from torch import Tensor
from torchmetrics import MetricCollection

from visiontasks.metrics.empty_states import fill_empty_states


def compute_all(metrics: MetricCollection) -> dict[str, Tensor]:
    """Compute metrics over all processes, with names that do not depend on the other metrics.

    ``MetricCollection.compute`` prefixes every key of a dictionary with the name of the metric as soon as two metrics
    share a key, which changes names that may be monitored; here only the key of the later metric gets a prefix.

    Args:
        metrics: The metrics; each returns a tensor or a dictionary of tensors. ``by_class``, where a metric has it,
            are the keys with one value for each class; a metric that averages by ``None`` or ``"none"`` has nothing
            else.

    Returns:
        The values by name; each name starts with the prefix of the collection.

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
            single = not isinstance(computed, dict) and getattr(metric, "average", "") in (None, "none")
            if single or key in getattr(metric, "by_class", ()):
                # torchmetrics makes a number of the value of a single class, which would lose its name.
                value = value.reshape(-1)
            values[f"{name}_{key}" if key in values else key] = value
    return {f"{metrics.prefix or ''}{name}": value for name, value in values.items()}
