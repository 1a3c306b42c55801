"""What the parts of a task cost: parameters, and multiply-adds of one image."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from visiontasks.detection.windows import sliding_windows

if TYPE_CHECKING:
    import visiontasks.tasks.task


class PartCost(NamedTuple):
    """Cost of a part of a task.

    Attributes:
        name: Name of the part, such as ``"backbone"``.
        network: What it is.
        parameters: Number of its parameters.
        trained: Number of those that are trained now.
        multiply_adds: Multiply-adds of its convolutions and matrix products for one image; None if unknown.
    """

    name: str
    network: str
    parameters: int
    trained: int
    multiply_adds: int | None


def part_costs(task: "visiontasks.tasks.task.Task", size: tuple[int, int]) -> list[PartCost]:
    """Count what each part of a task costs that has parameters, and all of it.

    The multiply-adds are those of a prediction; a detector is counted with as many regions as it may have. Nothing is
    computed for that: the shapes alone pass through the network, whose weights and modes stay as they are.

    Args:
        task: The task.
        size: Height and width of the image in pixels.

    Returns:
        The parts in the order in which the task has them, then ``total``.

    Example:
        >>> from visiontasks import ClassificationTask
        >>> task = ClassificationTask(num_classes=10, backbone="resnet18")
        >>> [(part.name, part.parameters, part.multiply_adds) for part in part_costs(task, (224, 224))]
        [('backbone', 11176512, 1813561344), ('head', 5130, 5120), ('total', 11181642, 1813566464)]
    """
    counts = _multiply_adds(task, size)
    backbone = task.hparams.get("backbone")
    parts = []
    for name, part in task.named_children():
        network = backbone if name == "backbone" and isinstance(backbone, str) else type(part).__name__
        if any(True for _ in part.parameters()):
            parts.append(PartCost(name, network, *_parameters(part), None if counts is None else counts[name]))
    return [*parts, PartCost("total", "", *_parameters(task), None if counts is None else counts[""])]


def _parameters(part: nn.Module) -> tuple[int, int]:
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
    return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)


class _Prediction(nn.Module):
    """A prediction as far as its shapes do not depend on what is in the image.

    Attributes:
        times: How often it is computed for one image.
    """

    def __init__(self, task: Any) -> None:  # noqa: ANN401 (of any kind)
        super().__init__()
        self.task = task
        self.times = 1

    def forward(self, images: Tensor) -> None:
        """Compute a prediction of images without values."""
        if hasattr(self.task, "roi_head"):
            self._detect(images)
        else:
            self.task.eval_forward(images)

    def _detect(self, images: Tensor) -> None:
        task, pixels = self.task, self.task.normalize(images)
        height, width = images.shape[-2:]
        features = [pixels] if task.per_region else task.features(pixels)
        if task.rpn is not None:
            task.rpn(features)
            count = task.rpn.post_nms_top_n[1]
        elif task.proposals == "sliding-window":
            count = sliding_windows(torch.tensor([[height, width]]), (height, width)).shape[1]
        else:
            message = "the number of precomputed proposals is unknown"
            raise NotImplementedError(message)
        if task.per_region:
            count, self.times = 1, count
        boxes, owners = pixels.new_zeros(count, 4), images.new_zeros(count, dtype=torch.int64)
        for stage in task.stages:
            stage(task.read(features[: len(task.region_strides)], boxes, owners))
        if hasattr(task, "mask_logits"):
            found = min(count, task.roi_head.detections_per_img)
            task.mask_logits(features[: len(task.region_strides)], boxes[:found], owners[:found])


def _multiply_adds(task: "visiontasks.tasks.task.Task", size: tuple[int, int]) -> dict[str, int] | None:
    """Count the multiply-adds of each child of a task, and of all of it under the empty name."""
    from torch.utils.flop_counter import FlopCounterMode

    modes = [(module, module.training) for module in task.modules()]
    prediction = _Prediction(task)
    images = torch.empty(1, task.in_channels, *size, dtype=torch.uint8, device="meta")
    values = [*prediction.named_parameters(), *prediction.named_buffers()]
    weights = {name: torch.empty_like(value, device="meta") for name, value in values}
    counter = FlopCounterMode(display=False)
    task.eval()
    try:
        with torch.no_grad(), _uncompiled(task), counter:
            torch.func.functional_call(prediction, weights, (images,))
    except Exception:  # a network of one's own may need the values of its images
        return None
    finally:
        for module, training in modes:
            module.training = training
    flops = {name: sum(operations.values()) for name, operations in counter.get_flop_counts().items()}
    counts = {"": flops.get("Global", 0)}
    for name, _ in task.named_children():
        part = f"{type(prediction).__name__}.task.{name}"
        inside = [other for other in flops if f"{other}.".startswith(f"{part}.")]
        # Where methods of a part are called, its own parts are called, but not itself.
        outermost = [one for one in inside if not any(one.startswith(f"{other}.") for other in inside)]
        counts[name] = sum(flops[one] for one in outermost)
    return {name: prediction.times * count // 2 for name, count in counts.items()}


@contextmanager
def _uncompiled(task: nn.Module) -> Iterator[None]:
    """Run compiled modules as they are written."""
    wrapped = any(name.endswith("_orig_mod") for name, _ in task.named_modules())
    if not wrapped and all(module._compiled_call_impl is None for module in task.modules()):
        yield
        return
    with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"):
        warnings.filterwarnings("ignore", message="Using `torch.compile")  # which concerns the counter
        yield
