"""Tracing sees through a task; the run-time checks of jaxtyping, which it does not see through, are off here."""

from typing import Any

import pytest
import torch

from visiontasks import ClassificationTask
from visiontasks.description import Statistics
from visiontasks.tasks.normalization import Normalization

pytestmark = pytest.mark.unchecked


def make(**options: Any) -> ClassificationTask:  # noqa: ANN401 - arguments of the task
    task = ClassificationTask(3, **{"backbone_options": {"filters": [4, 8], "depth": 1}, **options})
    task.normalize.set_statistics(Statistics(torch.rand(3), torch.rand(3), None))
    return task.eval()


@pytest.mark.parametrize("normalization", ["imagenet", "dataset"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_an_exported_task_takes_any_batch_and_size(normalization: Normalization, dtype: torch.dtype) -> None:
    task = make(normalization=normalization)
    example = (255 * torch.rand(2, 3, 16, 20)).to(dtype)
    sizes = {0: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(task, (example,), dynamic_shapes=(sizes,)).module()
    for shape in [(2, 3, 16, 20), (5, 3, 33, 21)]:
        images = (255 * torch.rand(shape)).to(dtype)
        torch.testing.assert_close(program(images), task(images))


def test_an_exported_task_keeps_the_padding_of_its_filters() -> None:
    task = make(backbone_options={"filters": [4], "kernel_size": 5, "padding": 0, "stride": 2})
    images = torch.rand(2, 3, 24, 24)
    torch.testing.assert_close(torch.export.export(task, (images,)).module()(images), task(images))


@pytest.mark.parametrize("training", [False, True])
def test_a_compiled_task_is_one_graph(training: bool) -> None:
    # TorchDynamo traces as for every backend; generating code is not ours to test.
    task = make(normalization="unit").train(training)
    images = torch.randint(256, (4, 3, 18, 15), dtype=torch.uint8)
    reference = make(normalization="unit").train(training)
    reference.load_state_dict(task.state_dict())
    compiled = torch.compile(task, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), reference(images))
