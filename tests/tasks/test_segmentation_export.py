"""Tracing sees through every decoder; the run-time checks of jaxtyping, which it does not see through, are off here."""

import pytest
import torch

from visiontasks import SegmentationTask
from visiontasks.decoders import list_decoders

pytestmark = pytest.mark.unchecked


@pytest.mark.parametrize("decoder", list_decoders())
def test_an_exported_task_segments_as_the_task_does(decoder: str) -> None:
    task = SegmentationTask(3, decoder=decoder, backbone_options={"filters": [4, 8], "depth": 1}).eval()
    images = torch.randint(256, (2, 3, 33, 41), dtype=torch.uint8)
    program = torch.export.export(task, (images,)).module()
    torch.testing.assert_close(program(images), task(images))


@pytest.mark.parametrize("decoder", list_decoders())
def test_a_compiled_task_is_one_graph(decoder: str) -> None:
    task = SegmentationTask(3, decoder=decoder, backbone_options={"filters": [4, 8], "depth": 1}).eval()
    images = torch.randint(256, (2, 3, 33, 41), dtype=torch.uint8)
    compiled = torch.compile(task, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images), task(images))
