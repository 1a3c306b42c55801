from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from visiontasks import DetectionBatch, DetectionTask, ProposalBatch, ShapesDataModule
from visiontasks.detection.matcher import Targets
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {
    "backbone_options": {"filters": [8, 16, 16], "depth": 1},
    "fpn_width": 16,
    "head_width": 32,
    "anchor_scales": (4.0,),
    "box_batch_size_per_image": 32,
}
LOSSES = {"classification", "box", "objectness", "rpn_box"}


def random_batch(count: int, classes: int, size: tuple[int, int] = (48, 64), objects: int = 3) -> DetectionBatch:
    """Random images with boxes anywhere in them."""
    height, width = size
    corner = torch.rand(count, objects, 2) * torch.tensor([width, height]) * 0.6
    boxes = torch.cat([corner, corner + torch.rand(count, objects, 2) * torch.tensor([width, height]) * 0.3 + 2], 2)
    boxes = torch.minimum(boxes, torch.tensor([width, height, width, height]).float())
    return DetectionBatch(
        torch.randint(256, (count, 3, *size), dtype=torch.uint8),
        boxes,
        torch.randint(classes, (count, objects)),
        torch.zeros(count, objects, dtype=torch.bool),
        torch.tensor([size] * count),
        torch.ones(count, 2),
        torch.arange(count),
        (boxes[..., 2:] - boxes[..., :2]).prod(-1),
    )


@pytest.mark.parametrize(
    ("classes", "options"),
    [
        (3, {}),
        (1, {"class_agnostic": True, "class_names": ["cell"]}),
        (100, {"neck": "none", "aspect_ratios": (1.0,)}),
        (2, {"design": "v2", "normalization": "unit", "box_detections_per_img": 7}),
        (2, {"backbone": "resnet18", "backbone_options": {}, "neck": "none", "anchor_scales": (2, 4)}),
    ],
    ids=["pyramid", "one class", "single map", "v2", "stage 4 of ResNet"],
)
def test_the_contract_is_kept(classes: int, options: dict[str, Any]) -> None:
    check_task(DetectionTask(classes, **{**SMALL, **options}), random_batch(2, classes))


def with_proposals(batch: DetectionBatch, count: int = 20) -> ProposalBatch:
    """Add random proposals, fewer in the first image."""
    height, width = batch.images.shape[-2:]
    corner = torch.rand(len(batch.ids), count, 2) * torch.tensor([width, height]) * 0.6
    proposals = torch.cat([corner, corner + 2 + torch.rand_like(corner) * 12], 2)
    proposals[:1, count // 2 :] = 0
    return ProposalBatch(*batch, proposals)


@pytest.mark.parametrize("proposals", ["precomputed", "sliding-window"])
@pytest.mark.parametrize("features", ["shared", pytest.param("per-region", marks=pytest.mark.slow)])
def test_other_proposals_and_regions_one_by_one_keep_the_contract(proposals: str, features: str) -> None:
    options: dict[str, Any] = {**SMALL, "proposals": proposals, "features": features}
    task = DetectionTask(3, **options)
    batch = with_proposals(random_batch(2, 3))
    check_task(task, batch if proposals == "precomputed" else random_batch(2, 3))
    assert set(task.losses(task(*task.inputs(batch)), batch)) == {"classification", "box"}
    assert not any(name.startswith("rpn") for name, _ in task.named_parameters())


def test_a_region_is_what_the_backbone_sees_of_it() -> None:
    task = DetectionTask(3, **SMALL, proposals="sliding-window", features="per-region").eval()
    side = 7 * task.backbone.strides[-1]
    images = torch.rand(2, 3, 2 * side, 2 * side)
    whole = torch.tensor([[0.0, 0, side, side]])
    with torch.no_grad():
        found = task.read([images], whole.repeat(2, 1), torch.tensor([0, 1]))
        # Two points to a pixel blur it a little; a smooth image stays what it is.
        smooth = torch.full_like(images, 0.3)
        same = task.read([smooth], whole, torch.tensor([1]))
        expected = task.backbone(smooth[:1, :, :side, :side])[-1].permute(0, 2, 3, 1)
    assert found.shape == (2, 7, 7, 16)
    torch.testing.assert_close(same, expected)


def test_batches_without_proposals_are_an_error() -> None:
    task = DetectionTask(3, **SMALL, proposals="precomputed")
    with pytest.raises(
        ArgumentError, match=r"a DetectionBatch has none\. Make a file of them with visiontasks propose"
    ):
        task.inputs(random_batch(1, 3))


def test_predictions_are_inside_the_images_and_fall_in_score() -> None:
    task = DetectionTask(3, **SMALL, box_score_thresh=0.0, box_nms_thresh=0.9).eval()
    batch = random_batch(2, 3)
    sizes = torch.tensor([[48, 64], [20, 33]])
    boxes, scores, labels = task.predict(task(batch.images, sizes))
    for image, (height, width) in enumerate(sizes.tolist()):
        found = labels[image] >= 0
        assert found.sum() > 20
        inside = boxes[image][found]
        assert (inside >= 0).all()
        assert (inside <= torch.tensor([width, height, width, height])).all()
        assert (inside[:, 2:] > inside[:, :2]).all()
        assert (scores[image].diff() <= 0).all()
        assert not boxes[image][~found].any()


@pytest.mark.parametrize("options", [{}, {"neck": "none"}, {"design": "v2"}])
def test_an_image_alone_and_beside_others_has_the_same_detections(options: dict[str, Any]) -> None:
    task = DetectionTask(3, **{**SMALL, **options}, box_score_thresh=0.1).eval()
    batch = random_batch(3, 3)
    with torch.no_grad():
        together = task.predict(task(*task.inputs(batch)))
        for image in range(3):
            alone = task.predict(task(batch.images[image : image + 1], batch.sizes[image : image + 1]))
            torch.testing.assert_close(alone.boxes[0], together.boxes[image], rtol=0, atol=1e-3)
            torch.testing.assert_close(alone.scores[0], together.scores[image], rtol=0, atol=1e-5)
            assert torch.equal(alone.labels[0], together.labels[image])
            assert (alone.labels >= 0).any()


def test_what_is_in_the_padding_does_not_matter() -> None:
    task = DetectionTask(3, **SMALL).eval()
    images = random_batch(2, 3).images
    sizes = torch.tensor([[30, 64], [48, 40]])
    dirty = images.clone()
    dirty[0, :, 30:], dirty[1, :, :, 40:] = 7, 200
    for a, b in zip(task.predict(task(images, sizes)), task.predict(task(dirty, sizes)), strict=True):
        assert torch.equal(a, b)


def no_boxes_in_one(batch: DetectionBatch) -> DetectionBatch:
    boxes, labels = batch.boxes.clone(), batch.labels.clone()
    boxes[0], labels[0] = 0, -1
    return batch._replace(boxes=boxes, labels=labels)


def no_boxes(batch: DetectionBatch) -> DetectionBatch:
    fields = {name: getattr(batch, name)[:, :0] for name in ("boxes", "labels", "ignore", "areas")}
    return batch._replace(**fields)


def all_ignored(batch: DetectionBatch) -> DetectionBatch:
    return batch._replace(ignore=torch.ones_like(batch.ignore))


def nothing(batch: DetectionBatch) -> DetectionBatch:
    return DetectionBatch(*(field[:0] for field in batch))


@pytest.mark.parametrize("change", [no_boxes_in_one, no_boxes, all_ignored, nothing])
@pytest.mark.parametrize("training", [True, False])
def test_losses_are_finite_whatever_is_in_the_images(
    change: Callable[[DetectionBatch], DetectionBatch], training: bool
) -> None:
    options = {**SMALL, "backbone_options": {**SMALL["backbone_options"], "norm": "group"}}
    task = DetectionTask(3, **options).train(training)
    batch = change(random_batch(2, 3))
    outputs = task(*task.inputs(batch))
    terms = task.losses(outputs, batch)
    assert terms.keys() == LOSSES
    assert all(torch.isfinite(term) for term in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in task.parameters() if value.grad is not None)
    assert task.predict(outputs).boxes.shape == (len(batch.ids), 100, 4)


def test_no_proposals_give_no_detections_and_finite_losses() -> None:
    task = DetectionTask(3, **SMALL)
    batch = no_boxes(random_batch(2, 3))
    outputs = task(*task.inputs(batch))
    outputs = outputs._replace(proposals=torch.zeros_like(outputs.proposals))
    terms = task.losses(outputs, batch)
    assert all(torch.isfinite(term) for term in terms.values())
    assert terms["classification"] == 0
    assert (task.predict(outputs).labels == -1).all()


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (33, 47)])
def test_images_of_odd_shapes_work(size: tuple[int, int]) -> None:
    task = DetectionTask(2, **SMALL)
    batch = random_batch(2, 2, size)
    terms = task.losses(task(*task.inputs(batch)), batch)
    assert all(torch.isfinite(term) for term in terms.values())
    with torch.no_grad():
        task.eval().predict(task(*task.inputs(batch)))


def test_ignored_objects_are_neither_learnt_nor_unlearnt() -> None:
    task = DetectionTask(2, **SMALL).eval()
    batch = random_batch(1, 2, objects=1)._replace(boxes=torch.tensor([[[8.0, 8, 40, 40]]]))
    outputs = task(*task.inputs(batch))
    ignored = all_ignored(batch)
    terms = task.losses(outputs, ignored)
    assert terms["box"] == terms["rpn_box"] == 0
    # Proposals that lie in it are not among those that are drawn as background.
    sample = task.roi_head.sample(outputs.proposals, Targets(ignored.boxes, ignored.labels, ignored.ignore))
    drawn = sample.boxes[sample.weight > 0]
    shared = torch.minimum(drawn[:, 2:], torch.tensor(40.0)) - torch.maximum(drawn[:, :2], torch.tensor(8.0))
    covered = shared.clamp(min=0).prod(1) / (drawn[:, 2:] - drawn[:, :2]).prod(1)
    assert (covered < 0.5).all()
    assert (sample.labels == 2).all()


def test_the_stages_behind_a_single_map_are_not_trained() -> None:
    task = DetectionTask(2, backbone="resnet18", neck="none")
    frozen = {name.split(".")[1] for name, value in task.named_parameters() if not value.requires_grad}
    assert frozen == {"layer4"}
    assert task.region_strides == (16,)


def test_a_checkpoint_needs_no_weights_file(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    torch.save(DetectionTask(3, **SMALL).state_dict(), tmp_path / "weights.pth")
    task = DetectionTask(3, **SMALL, weights=tmp_path / "weights.pth")
    assert task.hparams["weights"] is None
    data = ShapesDataModule("detection", train_size=2, val_size=1, batch_size=2)
    own = DetectionTask(4, **SMALL)
    trainer = make_trainer(max_steps=1)
    trainer.fit(own, datamodule=data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    loaded = DetectionTask.load_from_checkpoint(tmp_path / "task.ckpt")
    assert loaded.class_names == ["circle", "square", "triangle", "star"]
    assert loaded.image_size == (64, 64)


def test_weights_of_a_detector_bring_their_normalization(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    source = DetectionTask(4, **SMALL, normalization="dataset")
    trainer = make_trainer(max_steps=1)
    trainer.fit(source, datamodule=ShapesDataModule("detection", train_size=2, val_size=1, batch_size=2))
    trainer.save_checkpoint(tmp_path / "source.ckpt")
    task = DetectionTask(7, **SMALL, weights=tmp_path / "source.ckpt")
    assert task.normalize.mode == task.hparams["normalization"] == "dataset"
    torch.testing.assert_close(task.normalize.mean, source.normalize.mean)
    assert DetectionTask(7, **SMALL, weights=tmp_path / "source.ckpt", normalization="unit").normalize.mode == "unit"


def test_a_precision_that_rounds_boxes_is_refused(make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule("detection", train_size=2, val_size=1, batch_size=2)
    with pytest.raises(ArgumentError, match=r"boxes are off by pixels\. Use 'bf16-mixed'"):
        make_trainer(max_steps=1, precision="bf16-true").fit(DetectionTask(4, **SMALL), datamodule=data)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "expected at least 1"),
        ({"num_classes": 2, "class_names": ["a"]}, "expected one per class"),
        pytest.param({"num_classes": 2, "neck": "fnp"}, "neck is 'fnp'. Did", marks=pytest.mark.unchecked),
        pytest.param({"num_classes": 2, "design": "v3"}, "design is 'v3'", marks=pytest.mark.unchecked),
        ({"num_classes": 2, "rpn_pre_nms_top_n": 0}, "rpn_pre_nms_top_n is 0; expected a number of at least 1, or one"),
        ({"num_classes": 2, "rpn_post_nms_top_n": (9, 0)}, r"rpn_post_nms_top_n is \(9, 0\); expected a number"),
        ({"num_classes": 2, "box_nms_thresh": 5.0}, "box_nms_thresh is 5.0; expected 0 to 1"),
        ({"num_classes": 2, "box_score_thresh": -1.0}, "box_score_thresh is -1.0; expected 0 to 1"),
        ({"num_classes": 2, "box_detections_per_img": 0}, "box_detections_per_img is 0; expected at least 1"),
        ({"num_classes": 2, "features": "per-region"}, "which reads them off the shared maps"),
        ({"num_classes": 2, "anchor_scales": ()}, "expected positive numbers"),
        ({"num_classes": 2, "weights": "missing.pth"}, "weights is 'missing.pth', and there is no such file"),
    ],
)
def test_arguments_that_cannot_work_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        DetectionTask(**{**SMALL, **arguments})


def test_data_of_other_classes_are_an_error(make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule("detection", train_size=2, val_size=1)
    for task in (DetectionTask(3, **SMALL), DetectionTask(4, class_names=list("abcd"), **SMALL)):
        with pytest.raises(ArgumentError, match=r"The data have 4 classes|classes of the data are circle"):
            make_trainer(max_steps=1).fit(task, datamodule=data)
