"""Mirrored and resized views of a detector, against detections of views by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torchvision.ops import batched_nms

from tests.tasks.test_detection import SMALL, random_batch, with_proposals
from visiontasks import DetectionTask, ShapesDataModule
from visiontasks.detection.outputs import DetectionView
from visiontasks.errors import ArgumentError
from visiontasks.export import export_task
from visiontasks.prediction import create_predictor, predict_images
from visiontasks.tasks.averaging import Flips, resize
from visiontasks.tasks.detection_views import mirrored, view_of
from visiontasks.types import DetectionPredictions

MANY: dict[str, Any] = {"box_score_thresh": 0.3, "box_detections_per_img": 2000}


def twins(**options: Any) -> tuple[DetectionTask, DetectionTask]:  # noqa: ANN401 - arguments of the task
    """A detector with views, and one with its weights that suppresses nothing and looks at the image alone."""
    torch.manual_seed(0)
    own = options.pop("own", {})
    task = DetectionTask(2, **{**SMALL, **MANY, **own}, **options).eval()
    plain = DetectionTask(2, **{**SMALL, **MANY, **own}, box_nms_thresh=1.0).eval()
    plain.load_state_dict(task.state_dict())
    return task, plain


def predicted(task: DetectionTask, *inputs: Tensor, **options: Any) -> DetectionPredictions:  # noqa: ANN401 - of eval_forward
    with torch.no_grad():
        return task.predict(task.eval_forward(*inputs, **options))


def one_by_one(
    plain: DetectionTask, image: Tensor, flips: list[tuple[bool, bool]], scales: list[float]
) -> list[tuple[float, int, list[float]]]:
    """Detect on each view of an image without padding, bring the boxes back by hand, and suppress them at last."""
    height, width = image.shape[-2:]
    boxes, scores, labels = [], [], []
    for scale in scales:
        view = image[None] if scale == 1 else resize(image[None], scale)
        for right, down in flips:
            axes = [axis for axis, flipped in ((-1, right), (-2, down)) if flipped]
            found = predicted(plain, view.flip(axes))
            rows, columns = view.shape[-2:]
            for box, score, label in zip(found.boxes[0].tolist(), found.scores[0], found.labels[0], strict=True):
                if label < 0:
                    continue
                x1, y1, x2, y2 = box
                x1, x2 = (columns - x2, columns - x1) if right else (x1, x2)
                y1, y2 = (rows - y2, rows - y1) if down else (y1, y2)
                boxes.append([x1 * width / columns, y1 * height / rows, x2 * width / columns, y2 * height / rows])
                scores.append(score)
                labels.append(label)
    kept = batched_nms(torch.tensor(boxes), torch.stack(scores), torch.stack(labels), 0.5)
    return [(float(scores[place]), int(labels[place]), boxes[place]) for place in kept.tolist()]


FOUR = [(False, False), (True, False), (False, True), (True, True)]


@pytest.mark.parametrize(
    ("flips", "sides", "scales"),
    [("horizontal", FOUR[:2], [1.0]), ("both", FOUR, [1.0]), ("none", FOUR[:1], [0.75, 1.25]),
     ("vertical", [FOUR[0], FOUR[2]], [1.0, 1.5])],
)  # fmt: skip
def test_boxes_are_those_of_all_views_after_one_suppression(
    flips: Flips, sides: list[tuple[bool, bool]], scales: list[float]
) -> None:
    task, plain = twins(test_time_flips=flips, test_time_scales=scales)
    image = random_batch(1, 2, (48, 64)).images[0]
    found = predicted(task, image[None])
    expected = one_by_one(plain, image, sides, scales)
    count = int((found.labels[0] >= 0).sum())
    assert count == len(expected) > 20
    torch.testing.assert_close(found.scores[0, :count], torch.tensor([score for score, _, _ in expected]))
    # Of equal scores the order is free.
    ours = torch.cat([found.boxes[0, :count], 1000.0 * found.labels[0, :count, None]], 1)
    theirs = torch.tensor([[*box, 1000.0 * label] for _, label, box in expected])
    distances = (ours[:, None] - theirs).abs().amax(-1)
    assert max(distances.amin(0).max(), distances.amin(1).max()) < 1e-3


@pytest.mark.parametrize("soft", ["none", "gaussian"])
def test_with_the_image_alone_they_are_the_plain_ones(soft: Any) -> None:  # noqa: ANN401 - one of the methods
    task, _ = twins(box_soft_nms=soft)
    batch = random_batch(2, 2)
    plain = predicted(task, batch.images, batch.sizes)
    outputs = task.eval_forward(batch.images, batch.sizes)
    assert not outputs.views
    identity = outputs._replace(views=(DetectionView(outputs, ()),))
    with torch.no_grad():
        for one, other in zip(plain, task.predict(identity), strict=True):
            assert torch.equal(one, other)


def test_a_mirrored_box_comes_back_exactly() -> None:
    boxes = torch.tensor([[[0.0, 0, 7, 5], [1.25, 2.5, 30, 20], [0, 0, 0, 0]]])
    sizes = torch.tensor([[20, 30]])[:, None]
    for axes in ((), (-1,), (-2,), (-2, -1)):
        assert torch.equal(mirrored(mirrored(boxes, sizes, axes), sizes, axes), boxes)
    assert mirrored(boxes, sizes, (-1,))[0].tolist() == [[23, 0, 30, 5], [0, 2.5, 28.75, 20], [0, 0, 0, 0]]
    assert mirrored(boxes, sizes, (-2,))[0].tolist() == [[0, 15, 7, 20], [1.25, 0, 30, 17.5], [0, 0, 0, 0]]


def test_padding_stays_at_the_right_and_below() -> None:
    images = torch.zeros(2, 3, 8, 12, dtype=torch.uint8)
    images[0, :, :8, :10], images[1, :, :6, :12] = 1, 2
    images[0, :, :, 0] = 9
    sizes = torch.tensor([[8, 10], [6, 12]])
    view, inside = view_of(images.contiguous(memory_format=torch.channels_last), sizes, (-1,), 1.0, 32)
    assert inside.tolist() == sizes.tolist()
    assert view.shape == images.shape
    assert view.is_contiguous(memory_format=torch.channels_last)
    assert view[0, 0, 0].tolist() == [1] * 9 + [9, 0, 0]
    assert view[1, 0, :, 0].tolist() == [2] * 6 + [0, 0]
    view, inside = view_of(images, sizes, (), 1.5, 8)
    assert inside.tolist() == [[12, 15], [9, 18]]
    assert view.shape == (2, 3, 16, 24)
    assert not view[0, :, 12:].any()
    assert not view[0, :, :, 15:].any()
    torch.testing.assert_close(view[1, :, :9, :18], resize(images[1:, :, :6], 1.5)[0])


def test_boxes_stay_inside_a_padded_image() -> None:
    task, _ = twins(test_time_flips="horizontal", test_time_scales=[0.7])
    padded = torch.zeros(1, 3, 64, 64, dtype=torch.uint8)
    padded[:, :, :31, :33] = random_batch(1, 2, (31, 33)).images
    found = predicted(task, padded, torch.tensor([[31, 33]]))
    boxes = found.boxes[found.labels >= 0]
    assert len(boxes) > 20
    assert (boxes >= 0).all()
    assert (boxes <= torch.tensor([33.0, 31, 33, 31])).all()


def test_proposals_of_a_file_are_carried_along() -> None:
    own = {"proposals": "precomputed", "features": "shared"}
    task, _ = twins(own=own, test_time_flips="horizontal", test_time_scales=[0.5])
    batch = with_proposals(random_batch(2, 2))
    outputs = task.eval_forward(batch.images, batch.sizes, batch.proposals)
    plain, view = outputs.views
    real = batch.proposals[..., 2] > 0
    assert torch.equal(plain.outputs.proposals[real], batch.proposals[real] / 2)
    x1, y1, x2, y2 = batch.proposals[real].unbind(-1)
    expected = torch.stack([64 - x2, y1, 64 - x1, y2], -1) / 2
    torch.testing.assert_close(view.outputs.proposals[real], expected)
    assert not view.outputs.proposals[~real].any()


def test_a_fit_validates_on_the_image_alone_and_a_test_does_not(make_trainer: Callable[..., Trainer]) -> None:
    calls: list[int] = []
    task = DetectionTask(4, **SMALL, test_time_flips="both")
    task.backbone.register_forward_hook(lambda *_: calls.append(len(_[1][0])))
    data = ShapesDataModule(task="detection", train_size=2, val_size=2, test_size=2, image_size=(32, 32), batch_size=2)
    trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(task, data)
    assert calls == [2, 2]
    trainer.test(task, data, verbose=False)
    assert calls == [2, 2, 2, 2, 2, 2]
    assert len(task.eval_forward(torch.zeros(0, 3, 32, 32, dtype=torch.uint8)).views) == 0


def test_prediction_of_files_takes_them() -> None:
    task = DetectionTask(2, **SMALL, **{**MANY, "box_detections_per_img": 50}, image_size=(32, 32))
    image = random_batch(1, 2, (32, 32)).images[0]
    (by_option,) = predict_images(create_predictor(task, flips="horizontal", scales=[0.5, 1.0]), image)
    (plain,) = predict_images(task, image)
    assert by_option.boxes != plain.boxes
    task.test_time_flips, task.test_time_scales = "horizontal", (0.5, 1.0)
    (by_task,) = predict_images(task, image)
    assert by_task == by_option
    with pytest.raises(ArgumentError, match=r"scales is \[-1.0\]"):
        create_predictor(task, scales=[-1.0])


@pytest.mark.parametrize(
    "options", [{"test_time_flips": "both"}, {"test_time_scales": [0.5]}, {"box_soft_nms": "linear"}]
)
def test_an_export_refuses_them_by_name(options: dict[str, Any], tmp_path: Path) -> None:
    task = DetectionTask(2, **SMALL, **options, image_size=(32, 32))
    with pytest.raises(ArgumentError, match=r"load_from_checkpoint\(FILE, test_time_flips='none'"):
        export_task(task, tmp_path / "detector.onnx")


def test_a_factor_that_is_not_positive_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"scales is \[0.0\]; expected positive factors"):
        DetectionTask(2, **SMALL, test_time_scales=[0.0])
