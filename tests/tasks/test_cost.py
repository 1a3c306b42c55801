"""Parameters and multiply-adds of the parts of a task, counted by hand."""

from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks import (
    AutoencodingTask,
    Backbone,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    Task,
)
from visiontasks.detection.windows import sliding_windows
from visiontasks.tasks.cost import PartCost, part_costs


class Halved(Backbone):
    """One convolution of 8 filters, 3 x 3, with a stride of 2."""

    channels = (8,)
    strides = (2,)

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        return [self.convolution(images)]


class Reading(Halved):
    """Reads the values of its images, which a count cannot."""

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        assert images.amax().item() < 100
        return super().forward(images)


def test_a_classifier_is_counted_exactly() -> None:
    task = ClassificationTask(5, backbone=Halved())
    # 10 x 14 pixels become 5 x 7; a value takes 3 x 3 x 3 multiply-adds.
    convolution, linear = 5 * 7 * 8 * 27, 8 * 5
    parameters = 8 * 27 + 8
    assert part_costs(task, (10, 14)) == [
        PartCost("backbone", "Halved", parameters, parameters, convolution),
        PartCost("head", "ClassificationHead", 45, 45, linear),
        PartCost("total", "", parameters + 45, parameters + 45, convolution + linear),
    ]
    task.backbone.freeze("all")
    assert [part.trained for part in part_costs(task, (10, 14))] == [0, 45, 45]


def test_a_detector_is_counted_with_all_its_regions() -> None:
    task = DetectionTask(2, backbone="resnet18", rpn_post_nms_top_n=(90, 50), head_width=16)
    costs = {part.name: part.multiply_adds for part in part_costs(task, (64, 96))}
    # Maps of strides 4 to 64 of the pyramid, of 256 channels, for each place 3 x 3, then 3 anchors with 1 + 4 values.
    places = sum((64 // stride) * -(-96 // stride) for stride in (4, 8, 16, 32, 64))
    assert costs["rpn"] == places * (256 * 256 * 9 + 256 * 3 * 5)
    assert costs["roi_head"] == 50 * (7 * 7 * 256 * 16 + 16 * 16 + 16 * (3 + 2 * 4))
    assert costs["total"] == sum(count for name, count in costs.items() if name != "total" and count is not None)


def test_a_network_for_each_region_is_counted_as_often() -> None:
    task = DetectionTask(2, backbone="resnet18", proposals="sliding-window", features="per-region", neck="none")
    count = sliding_windows(torch.tensor([[96, 96]]), (96, 96)).shape[1]
    resnet18, head = 1_813_561_344, 7 * 7 * 512 * 1024 + 1024 * 1024 + 1024 * (3 + 2 * 4)
    assert [part.multiply_adds for part in part_costs(task, (96, 96))] == [
        count * resnet18,  # of 224 x 224 pixels
        count * head,
        count * (resnet18 + head),
    ]


TASKS = [
    lambda: ClassificationTask(4, backbone="googlenet", auxiliary_weight=0.3),
    lambda: LocalizationTask(4),
    lambda: SegmentationTask(4),
    lambda: AutoencodingTask(image_size=(64, 64)),
    lambda: AutoencodingTask(image_size=(64, 64), variational=True),
    lambda: DetectionTask(4, backbone="resnet18"),
]


@pytest.mark.parametrize("make", TASKS)
def test_all_is_attributed_and_nothing_changes(make: Any) -> None:  # noqa: ANN401 - a function of any task
    task: Task = make()
    task.backbone.eval()
    modes, state = [module.training for module in task.modules()], torch.get_rng_state()
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    *parts, total = part_costs(task, (64, 64))
    assert total.multiply_adds == sum(part.multiply_adds or 0 for part in parts)
    assert all(part.multiply_adds for part in parts)
    assert total.parameters == sum(part.parameters for part in parts) == sum(map(Tensor.numel, task.parameters()))
    assert [module.training for module in task.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[name]) for name, value in task.state_dict().items())


def test_what_cannot_be_counted_is_unknown() -> None:
    parts = part_costs(ClassificationTask(2, backbone=Reading()), (8, 8))
    assert [part.multiply_adds for part in parts] == [None, None, None]
    assert parts[-1].parameters == 8 * 27 + 8 + 18
    parts = part_costs(DetectionTask(2, backbone="resnet18", proposals="precomputed"), (64, 64))
    assert {part.multiply_adds for part in parts} == {None}


@pytest.mark.unchecked
@pytest.mark.parametrize("part", ["task", "backbone"])
def test_a_compiled_network_is_counted_as_it_is_written(part: str) -> None:
    task = ClassificationTask(5, backbone=Halved())
    expected = part_costs(task, (10, 14))[-1].multiply_adds
    if part == "task":
        task.compile()
    else:
        task.backbone = torch.compile(task.backbone)  # type: ignore[assignment]  # behaves like it
    assert part_costs(task, (10, 14))[-1].multiply_adds == expected
