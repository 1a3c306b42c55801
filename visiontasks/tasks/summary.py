"""The parts of a task and what they cost, printed at the start of a fit."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from visiontasks.tasks.cost import PartCost, part_costs
from visiontasks.tasks.views import evaluation_view

if TYPE_CHECKING:
    import visiontasks.tasks.task
    from visiontasks.tasks.task import Task

_NOMINAL = (224, 224)


class TaskSummary(Callback):
    """Prints the parts of a task with their parameters and multiply-adds at the start of a fit.

    It takes the place of Lightning's summary, which lists what has no parameters, too, and counts nothing for a model
    without an example input: ``Trainer(callbacks=[TaskSummary()], enable_model_summary=False)``. The command line adds
    it, unless ``--trainer.enable_model_summary false``.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the summary."""
        if trainer.is_global_zero:
            task = cast("Task", pl_module)
            size = counted_size(task, getattr(trainer, "datamodule", None))
            print(format_costs(part_costs(task, size), size))


def counted_size(task: "visiontasks.tasks.task.Task", data: Any) -> tuple[int, int]:  # noqa: ANN401 (any, or None)
    """Choose the size of the image that is counted.

    Args:
        task: The task.
        data: The data module of the fit; None without one.

    Returns:
        Height and width in pixels: those of evaluation, where images keep their shape of the validation image of median
        area; where images are taken as they are, those of the crops that are trained on; 224 x 224 where nothing is
        known.
    """
    view: Mapping[str, Any] = evaluation_view(task) or {}
    size: Any = view.get("size") or task.image_size or getattr(data, "size", None) or _NOMINAL
    if view.get("policy") == "Within":
        sizes_of = getattr(getattr(data, "val_set", None), "batch_sizes", None)
        shown: Any = None if sizes_of is None else sizes_of()
        size = (view["shorter"], view["longer"])
        if shown is not None and len(shown):
            size = shown[shown.prod(1).argsort()[len(shown) // 2]].tolist()
    multiple = view.get("multiple", 1)
    height, width = (-(-side // multiple) * multiple for side in size)
    return height, width


def format_costs(parts: Sequence[PartCost], size: tuple[int, int]) -> str:
    """Format the costs of the parts of a task as a table.

    Args:
        parts: What :func:`~visiontasks.tasks.cost.part_costs` returns.
        size: Height and width of the image in pixels.
    """
    rows = [("part", "network", "parameters", "trained", "multiply-adds")]
    for part in parts:
        operations = "-" if part.multiply_adds is None else _short(part.multiply_adds)
        rows.append((part.name, part.network, _short(part.parameters), _short(part.trained), operations))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:{'<' if column < 2 else '>'}{widths[column]}}" for column, cell in enumerate(row))
        for row in rows
    ]
    explained = (
        "Parameters are the numbers that make up the network, trained are those that this run changes; multiply-adds\n"
        f"are the work for an image of {size[0]} x {size[1]} pixels (height x width), as the network gets it."
    )
    return "\n".join([*lines, explained])


def _short(number: int) -> str:
    """Shorten a number to three digits.

    Example:
        >>> [_short(number) for number in (0, 999, 5130, 11176512, 1813561344)]
        ['0', '999', '5.13 k', '11.2 M', '1.81 G']
    """
    for power, unit in ((4, "T"), (3, "G"), (2, "M"), (1, "k")):
        value = number / 1000**power
        if value >= 0.9995:
            return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"
    return str(number)
