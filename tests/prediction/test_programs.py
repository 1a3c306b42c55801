from typing import Any

import pytest
import torch

from visiontasks import DetectionTask
from visiontasks.errors import ArgumentError
from visiontasks.prediction.predictors import make_program
from visiontasks.prediction.programs import DetectionProgram, Program

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8], "depth": 1}, "fpn_width": 8, "head_width": 16}


def make(**options: object) -> DetectionTask:
    """Create a detector that finds many boxes of several classes, near copies among them."""
    task = DetectionTask(3, **{**SMALL, "box_score_thresh": 0.2, **options}).eval()
    with torch.no_grad():
        task.roi_head.cls_score.weight.normal_(std=2.0)
        task.roi_head.bbox_pred.weight.normal_(std=0.3)
        if task.rpn is not None:
            task.rpn.head.cls_logits.weight.normal_()
    return task


@pytest.mark.parametrize(
    "options",
    [{}, {"class_agnostic": True}, {"neck": "none"}, {"proposals": "sliding-window"}, {"design": "v2"}],
    ids=str,
)
def test_detections_of_fixed_shapes_are_those_of_the_task(options: dict[str, object]) -> None:
    program = make_program(make(**options), (64, 80))
    assert isinstance(program, DetectionProgram)
    images = torch.randint(256, (3, 3, 64, 80), dtype=torch.uint8)
    sizes = torch.tensor([[64, 80], [40, 80], [64, 33]])
    expected = program.reference(images, sizes)
    assert (expected.labels >= 0).sum() > 20
    boxes, scores, labels = program(images, sizes)
    torch.testing.assert_close(scores, expected.scores)
    assert torch.equal(labels, expected.labels)
    torch.testing.assert_close(boxes, expected.boxes, rtol=1e-4, atol=1e-3)


def test_an_image_in_which_nothing_is_found_gives_padding() -> None:
    program = make_program(make(box_score_thresh=1.0, box_detections_per_img=7), (64, 64))
    boxes, scores, labels = program(*program.example(2))
    assert boxes.shape == (2, 7, 4)
    assert not boxes.any()
    assert not scores.any()
    assert (labels == -1).all()


@pytest.mark.parametrize(
    "options", [{"proposals": "precomputed"}, {"proposals": "sliding-window", "features": "per-region"}]
)
def test_a_detector_that_needs_more_than_the_image_is_refused(options: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match="come from the image alone"):
        make_program(make(**options), (64, 64))


def test_other_tasks_keep_what_they_predict() -> None:
    from visiontasks import LocalizationTask

    program = make_program(LocalizationTask(2, backbone_options={"filters": [4, 8], "depth": 1}), (20, 24))
    assert type(program) is Program
    assert program.outputs == ("probabilities", "labels", "scores", "boxes", "class_boxes")
