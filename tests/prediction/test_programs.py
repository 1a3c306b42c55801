from typing import Any, NamedTuple, cast

import pytest
import torch
from torch import Tensor

from visiontasks import DetectionTask, InstanceSegmentationTask, Task
from visiontasks.errors import ArgumentError, ExportError
from visiontasks.prediction.predictors import make_program
from visiontasks.prediction.programs import DetectionProgram, Program

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8], "depth": 1}, "fpn_width": 8, "head_width": 16}

SMALL_TASK: dict[str, Any] = {"backbone_options": {"filters": [4], "depth": 1}}


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
    expected: Any = program.reference(images, sizes)
    assert (expected.labels >= 0).sum() > 20
    boxes, scores, labels = program(images, sizes)
    torch.testing.assert_close(scores, expected.scores)
    assert torch.equal(labels, expected.labels)
    torch.testing.assert_close(boxes, expected.boxes, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"cascade": True, "mask_class_agnostic": True}], ids=str)
def test_masks_of_fixed_shapes_are_those_of_the_task(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    few: dict[str, Any] = {**SMALL, "box_score_thresh": 0.1, "box_detections_per_img": 9, "mask_widths": (8,)}
    task = InstanceSegmentationTask(3, **few, **options).eval()
    with torch.no_grad():
        for head in task.stages:
            head.cls_score.weight.normal_(std=2.0)
    program = make_program(task, (64, 80))
    assert program.outputs == ("boxes", "scores", "labels", "masks")
    images, sizes = torch.randint(256, (2, 3, 64, 80), dtype=torch.uint8), torch.tensor([[64, 80], [40, 72]])
    expected: Any = cast("DetectionProgram", program).reference(images, sizes)
    boxes, scores, labels, masks = program(images, sizes)
    assert (labels >= 0).sum() > 4
    assert torch.equal(labels, expected.labels)
    torch.testing.assert_close(scores, expected.scores)
    torch.testing.assert_close(boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(masks, expected.masks, rtol=0, atol=1e-4)


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


def test_places_that_no_region_can_fill_are_padding() -> None:
    # Fewer pairs of region and class than detections of an image.
    task = make(box_score_thresh=0.0, box_detections_per_img=500, rpn_post_nms_top_n=(20, 20))
    program: Any = make_program(task, (64, 64))
    images, sizes = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8), torch.tensor([[64, 64], [40, 64]])
    boxes, scores, labels = program(images, sizes)
    expected = program.reference(images, sizes)
    assert boxes.shape == (2, 500, 4)
    assert (labels[:, 60:] == -1).all()
    assert 0 < (labels >= 0).sum() == (expected.labels >= 0).sum()
    assert not boxes[labels < 0].any()
    assert not scores[labels < 0].any()


class Predicted(NamedTuple):
    means: Tensor


class Own(Task):
    """Predicts how bright an image is."""

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3))

    def losses(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401 - as the base
        return {}

    def predict(self, outputs: Tensor) -> Any:  # noqa: ANN401 - as the base
        return Predicted(outputs)


class Bare(Own):
    def predict(self, outputs: Tensor) -> Any:  # noqa: ANN401 - as the base
        return outputs


class Needing(Own):
    def forward(self, images: Tensor, more: Tensor) -> Tensor:  # type: ignore[override]  # needs more
        return images.float().mean((1, 2, 3)) + more


def test_a_task_of_ones_own_is_a_program_if_it_needs_images_alone() -> None:
    program = make_program(Own(**SMALL_TASK), (8, 8))
    assert type(program) is Program
    assert program.outputs == ("means",)
    (means,) = program(torch.full((2, 3, 8, 8), 7, dtype=torch.uint8))
    assert means.tolist() == [7, 7]
    with pytest.raises(ExportError, match="its predictions are a Tensor; expected a NamedTuple of tensors"):
        make_program(Bare(**SMALL_TASK), (8, 8))
    with pytest.raises(ExportError, match=r"Needing cannot be exported, because predict.* missing .* 'more'"):
        make_program(Needing(**SMALL_TASK), (8, 8))


def test_what_a_subclass_computes_in_evaluation_is_exported() -> None:
    class Halved(DetectionTask):
        def eval_forward(self, *inputs: Any, **views: Any) -> Any:  # noqa: ANN401 - as the base
            outputs = self(*inputs)
            return outputs._replace(proposals=outputs.proposals / 2)

    task = make()
    halved = Halved(3, **{**SMALL, "box_score_thresh": 0.2}).eval()
    halved.load_state_dict(task.state_dict())
    images, sizes = torch.randint(256, (1, 3, 64, 64), dtype=torch.uint8), torch.tensor([[64, 64]])
    boxes, _, labels = make_program(halved, (64, 64))(images, sizes)
    expected = halved.predict(halved.eval_forward(images, sizes))
    torch.testing.assert_close(boxes, expected.boxes, rtol=1e-4, atol=1e-3)
    assert not torch.equal(boxes, make_program(task, (64, 64))(images, sizes)[0])
    assert (labels >= 0).any()


def test_other_tasks_keep_what_they_predict() -> None:
    from visiontasks import LocalizationTask

    program = make_program(LocalizationTask(2, backbone_options={"filters": [4, 8], "depth": 1}), (20, 24))
    assert type(program) is Program
    assert program.outputs == ("probabilities", "labels", "scores", "boxes", "class_boxes")
