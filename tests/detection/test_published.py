from pathlib import Path
from typing import Any

import pytest
import torch

from visiontasks import DetectionTask

SMALL: dict[str, Any] = {
    "backbone_options": {"filters": [4, 8, 8], "depth": 1},
    "fpn_width": 8,
    "head_width": 16,
    "normalization": "unit",
}


@pytest.fixture
def source(tmp_path: Path) -> tuple[DetectionTask, Path]:
    """A detector of colour images, and the file of its weights."""
    task = DetectionTask(3, **SMALL).eval()
    torch.save(task.state_dict(), tmp_path / "source.pth")
    return task, tmp_path / "source.pth"


def test_weights_of_a_compiled_backbone_fit(source: tuple[DetectionTask, Path], tmp_path: Path) -> None:
    state = source[0].state_dict()
    compiled = {key.replace("backbone.", "backbone._orig_mod."): value for key, value in state.items()}
    torch.save(compiled, tmp_path / "compiled.pth")
    task = DetectionTask(3, **SMALL, weights=tmp_path / "compiled.pth")
    assert all(torch.equal(value, state[key]) for key, value in task.state_dict().items())


def test_a_detector_of_colour_images_starts_one_of_grey_images(source: tuple[DetectionTask, Path]) -> None:
    task = DetectionTask(3, **SMALL, in_channels=1, weights=source[1]).eval()
    grey = torch.randint(256, (1, 1, 48, 64), dtype=torch.uint8)
    with torch.no_grad():
        found, expected = task(grey).rpn, source[0](grey.expand(-1, 3, -1, -1)).rpn
    assert found is not None
    assert expected is not None
    torch.testing.assert_close(found.objectness, expected.objectness, atol=1e-4, rtol=1e-4)


def test_outputs_for_other_anchors_are_left_at_random(source: tuple[DetectionTask, Path]) -> None:
    options = {**SMALL, "anchor_scales": (2.0, 4.0)}
    task = DetectionTask(3, **options, weights=source[1])
    found, given = task.state_dict(), source[0].state_dict()
    assert {key for key in found if found[key].shape != given[key].shape} == {
        f"rpn.head.{layer}.{kind}" for layer in ("cls_logits", "bbox_pred") for kind in ("weight", "bias")
    }
    assert all(torch.equal(found[key], given[key]) for key in found if found[key].shape == given[key].shape)
