from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader

from tests.detection.instance_scenes import ellipses, pack_all, random_instances
from tests.tasks.test_detection import SMALL, random_batch
from visiontasks import DetectionTask, InstanceBatch, InstanceSegmentationTask
from visiontasks.detection.outputs import DetectionView
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_task

FEW: dict[str, Any] = {**SMALL, "box_detections_per_img": 20, "mask_widths": (8, 8)}
LOSSES = {"classification", "box", "mask", "objectness", "rpn_box"}


def with_options(**options: Any) -> InstanceSegmentationTask:  # noqa: ANN401 - arguments of the task
    torch.manual_seed(0)
    return InstanceSegmentationTask(options.pop("num_classes", 3), **{**FEW, **options})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_classes": 1, "class_agnostic": True, "mask_class_agnostic": True, "neck": "none"},
        {"design": "v2", "normalization": "unit"},
        {"cascade": True},
        {"proposals": "sliding-window", "features": "per-region", "box_detections_per_img": 4},
        {"gradient_checkpointing": True, "freeze": 1, "arithmetic": "detectron2"},
    ],
    ids=["pyramid", "one class", "v2", "cascade", "per region", "checkpointing"],
)
def test_the_contract_is_kept(options: dict[str, Any]) -> None:
    task = with_options(**options)
    # Windows are many in larger images, and the backbone runs on each.
    check_task(task, random_instances(2, task.num_classes, (32, 32) if task.per_region else (48, 64)))


def unmasked(batch: InstanceBatch) -> InstanceBatch:
    """Objects whose masks are unknown."""
    return batch._replace(mask_bits=batch.mask_bits[:, :0], mask_windows=torch.zeros_like(batch.mask_windows))


def no_objects(batch: InstanceBatch) -> InstanceBatch:
    fields = {name: getattr(batch, name)[:, :0] for name in ("boxes", "labels", "ignore", "areas", "mask_windows")}
    return batch._replace(**fields, mask_bits=batch.mask_bits[:, :0])


def all_ignored(batch: InstanceBatch) -> InstanceBatch:
    return batch._replace(ignore=torch.ones_like(batch.ignore))


def nothing(batch: InstanceBatch) -> InstanceBatch:
    return InstanceBatch(*(field[:0] for field in batch))


@pytest.mark.parametrize("change", [unmasked, no_objects, all_ignored, nothing])
@pytest.mark.parametrize("training", [True, False])
def test_without_known_masks_the_loss_is_zero_and_connected(
    change: Callable[[InstanceBatch], InstanceBatch], training: bool
) -> None:
    task = with_options(backbone_options={**SMALL["backbone_options"], "norm": "group"}).train(training)
    batch = change(random_instances(2, 3))
    outputs = task(*task.inputs(batch))
    terms = task.losses(outputs, batch)
    assert terms.keys() == LOSSES
    assert terms["mask"] == 0
    torch.stack(list(terms.values())).sum().backward()
    gradients = [value.grad for value in task.mask_head.parameters()]
    assert all(gradient is not None and torch.isfinite(gradient).all() for gradient in gradients)
    assert task.predict(outputs).masks.shape == (len(batch.ids), 20, 28, 28)


def test_the_mask_loss_is_that_of_every_positive_region_one_by_one() -> None:
    task = with_options(box_batch_size_per_image=16).train()
    batch = random_instances(2, 3)
    drawn: list[Any] = []
    compute = task.losses_and_sample

    def recorded(*arguments: Any) -> Any:  # noqa: ANN401 - as the method
        drawn.append(compute(*arguments))
        return drawn[-1]

    task.losses_and_sample = recorded  # type: ignore[method-assign,assignment]
    outputs = task(*task.inputs(batch))
    found = task.losses(outputs, batch)["mask"]
    sample = drawn[0][1]
    losses = []
    for image in range(2):
        masks = ellipses(batch.boxes[image], (48, 64))
        for region in range(sample.labels.shape[1]):
            label = int(sample.labels[image, region])
            if label < 3 and sample.weight[image, region]:
                box = sample.boxes[image, region]
                from torchvision.models.detection.roi_heads import project_masks_on_boxes

                target = project_masks_on_boxes(masks, box[None], sample.matches[image, region][None], 28)[0]
                logits = task.mask_logits(outputs.features, box[None], torch.tensor([image]))[0, label]
                losses.append(F.binary_cross_entropy_with_logits(logits, target))
    assert len(losses) > 2
    torch.testing.assert_close(found, torch.stack(losses).mean())


def test_masks_of_an_evaluation_are_in_pixels_of_the_original_images() -> None:
    task = with_options().eval()
    batch = random_instances(2, 3)
    # The same scene, whose masks are drawn twice as high and four times as wide.
    factors = torch.tensor([2, 4])
    large = [ellipses(boxes * torch.tensor([4, 2, 4, 2]), (96, 256)) for boxes in batch.boxes]
    bits, windows = pack_all(large)
    finer = batch._replace(mask_bits=bits, mask_windows=windows, mask_sizes=batch.mask_sizes * factors)
    outputs = task(*task.inputs(batch))
    with torch.no_grad():
        one, other = (task.losses(outputs, each)["mask"] for each in (batch, finer))
    assert one > 0
    torch.testing.assert_close(one, other, rtol=0.02, atol=0)
    torch.testing.assert_close(task.losses(outputs, batch)["mask"], one)


def test_boxes_are_those_of_the_detector_without_masks() -> None:
    task = with_options().eval()
    plain = DetectionTask(3, **{name: value for name, value in FEW.items() if name != "mask_widths"}).eval()
    plain.load_state_dict({key: value for key, value in task.state_dict().items() if not key.startswith("mask_head")})
    batch = random_batch(2, 3)
    with torch.no_grad():
        found, expected = (cast("Any", each.predict(each(*each.inputs(batch)))) for each in (task, plain))
    assert (found.labels >= 0).sum() > 10
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    real = found.labels >= 0
    assert ((found.masks[real] > 0) & (found.masks[real] < 1)).all()
    assert not found.masks[~real].any()


def test_masks_of_views_are_averaged_after_they_are_mirrored_back() -> None:
    task = with_options(box_score_thresh=0.2).eval()
    batch = random_batch(2, 3)
    with torch.no_grad():
        plain = task.predict(task(*task.inputs(batch)))
        outputs = task.eval_forward(*task.inputs(batch), flips="horizontal", scales=[1.0, 1.5])
        found = task.predict(outputs)
        assert len(outputs.views) == 4
        # The view of the image alone, as a view, changes nothing.
        alone = task.predict(outputs._replace(views=(DetectionView(outputs, ()),)))
        for one, other in zip(plain, alone, strict=True):
            assert torch.equal(one, other)
        image = 1
        box, label = found.boxes[image, :1], found.labels[image, :1]
        means = []
        for view in outputs.views:
            rows, columns = view.outputs.sizes[image].tolist()
            scale = torch.tensor([columns / 64, rows / 48]).repeat(2)
            seen = box * scale
            if view.axes:
                seen = torch.stack([columns - seen[:, 2], seen[:, 1], columns - seen[:, 0], seen[:, 3]], 1)
            mask = task.mask_logits(view.outputs.features, seen, torch.tensor([image]))[0, label[0]].sigmoid()
            means.append(mask.flip(-1) if view.axes else mask)
    torch.testing.assert_close(found.masks[image, 0], torch.stack(means).mean(0))


def test_a_batch_without_masks_is_an_error() -> None:
    task = with_options()
    batch = random_batch(2, 3)
    with pytest.raises(ArgumentError, match="learns from masks, and a DetectionBatch has none"):
        task.losses(task(*task.inputs(batch)), batch)


def test_a_detector_and_one_with_masks_start_from_each_other(tmp_path: Path) -> None:
    task = with_options(num_classes=2)
    torch.save(task.state_dict(), tmp_path / "masks.pth")
    plain = {name: value for name, value in FEW.items() if name != "mask_widths"}
    detector = DetectionTask(2, **plain, weights=tmp_path / "masks.pth")
    assert torch.equal(detector.roi_head.cls_score.weight, task.roi_head.cls_score.weight)
    torch.save(detector.state_dict(), tmp_path / "boxes.pth")
    again = InstanceSegmentationTask(2, **FEW, weights=tmp_path / "boxes.pth")
    assert torch.equal(again.roi_head.cls_score.weight, task.roi_head.cls_score.weight)
    assert not torch.equal(again.mask_head.mask_logits.weight, task.mask_head.mask_logits.weight)
    other = InstanceSegmentationTask(3, **FEW, weights=tmp_path / "masks.pth")
    assert torch.equal(other.mask_head.upsampling.weight, task.mask_head.upsampling.weight)
    assert other.mask_head.mask_logits.weight.shape[0] == 3


def test_a_step_in_half_precision_has_losses_in_float32(make_trainer: Callable[..., Trainer]) -> None:
    task = with_options()
    batch = random_instances(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        terms = task.losses(task(*task.inputs(batch)), batch)
    assert all(term.dtype == torch.float32 for term in terms.values())
    loader = DataLoader([batch], batch_size=None)  # type: ignore[arg-type,var-annotated]  # a list
    trainer = make_trainer(max_steps=1, precision="bf16-mixed")
    trainer.fit(task, loader, loader)
    assert {f"val/loss_{name}" for name in LOSSES} | {"val/mask_map", "val/map"} <= trainer.callback_metrics.keys()
