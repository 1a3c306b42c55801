import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from visiontasks import MaskFolderDataModule, SegmentationBatch, SegmentationTask
from visiontasks.errors import ArgumentError, DataError, NonFiniteLossError
from visiontasks.losses.segmentation import SegmentationLoss
from visiontasks.metrics.confusion import ConfusionMatrix
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


def random_batch(
    count: int, classes: int, size: tuple[int, int] = (17, 22), channels: int = 3, layers: tuple[int, ...] = ()
) -> SegmentationBatch:
    masks = torch.randint(classes, (count, *layers, *size), dtype=torch.uint8)
    masks[..., -2:] = 255
    images = torch.randint(256, (count, channels, *size), dtype=torch.uint8)
    sizes = torch.tensor([size] * count)
    return SegmentationBatch(images, masks, sizes, torch.ones(count, 2), torch.arange(count) + 40)


@pytest.mark.parametrize(
    ("classes", "size", "options"),
    [
        (3, (17, 22), {}),
        (3, (9, 8), {"decoder": "fcn", "decoder_options": {"stride": 2}}),
        (3, (8, 9), {"decoder": "segnet"}),
        (3, (8, 8), {"decoder": "fpn", "decoder_options": {"norm": "batch", "width": 16, "head_width": 16}}),
        (2, (1, 1), {"backbone_options": {"filters": [4, 8], "norm": "none"}, "decoder_options": {"norm": "none"}}),
        (4, (15, 10), {"loss": {"cross_entropy": 1.0, "dice": 0.5, "lovasz": 0.5, "focal": 1.0}, "in_channels": 5}),
        (2, (8, 8), {"mode": "binary", "loss": {"cross_entropy": 1.0, "dice": 1.0}, "class_weights": [1.0, 3.0]}),
        (3, (12, 9), {"mode": "multilabel", "auxiliary_weight": 0.4, "class_names": ["a", "b", "c"]}),
    ],
)
def test_the_contract_is_kept(classes: int, size: tuple[int, int], options: dict[str, Any]) -> None:
    task = SegmentationTask(classes, **{**SMALL, **options})
    multilabel = task.mode == "multilabel"
    batch = random_batch(3, 2 if multilabel else classes, size, task.in_channels, (classes,) if multilabel else ())
    check_task(task, batch)


def test_losses_are_those_of_the_final_and_the_auxiliary_classifier() -> None:
    weights = [1.0, 2.0, 0.5]
    task = SegmentationTask(3, auxiliary_weight=0.4, loss={"cross_entropy": 1.0, "dice": 2.0}, class_weights=weights)
    batch = random_batch(2, 3, (32, 48))
    logits, coarse = torch.randn(2, 3, 32, 48), torch.randn(2, 3, 8, 12)
    terms = task.losses((logits, coarse), batch)
    loss = SegmentationLoss({"cross_entropy": 1.0, "dice": 2.0})
    final = loss(logits, batch.masks, torch.tensor(weights))
    enlarged = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")
    more = loss(enlarged, batch.masks, torch.tensor(weights))
    expected = final | {f"auxiliary_{name}": 0.4 * term for name, term in more.items()}
    torch.testing.assert_close(terms, expected)
    assert task.auxiliary_stride == 4


def test_predictions_are_the_most_probable_class() -> None:
    logits = torch.randn(2, 4, 5, 6)
    predictions = SegmentationTask(4, **SMALL).predict(logits)
    probabilities = logits.softmax(1)
    assert torch.equal(predictions.labels.long(), probabilities.argmax(1))
    torch.testing.assert_close(predictions.scores, probabilities.amax(1))


def test_a_threshold_decides_in_binary_and_multilabel() -> None:
    logits = torch.randn(2, 1, 5, 6)
    p = logits.sigmoid()[:, 0]
    predictions = SegmentationTask(2, mode="binary", threshold=0.7, **SMALL).predict(logits)
    assert torch.equal(predictions.labels == 1, p >= 0.7)
    torch.testing.assert_close(predictions.scores, torch.where(p >= 0.7, p, 1 - p))
    many = torch.randn(2, 3, 5, 6)
    labels = SegmentationTask(3, mode="multilabel", threshold=0.2, **SMALL).predict(many).labels
    assert torch.equal(labels == 1, many.sigmoid() >= 0.2)


def test_outputs_are_float32_under_autocast() -> None:
    task = SegmentationTask(4, auxiliary_weight=0.1, **SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        logits, coarse = task(random_batch(2, 4).images)
    assert logits.dtype == coarse.dtype == torch.float32


class Scripted(SegmentationTask):
    """Reads its logits off the image."""

    def forward(self, images: Tensor) -> Tensor:
        return 10 * images


@pytest.mark.parametrize("stage", ["val", "test"])
def test_logged_scores_are_those_of_the_confusion_matrix(stage: str, make_trainer: Callable[..., Trainer]) -> None:
    task = Scripted(3, class_names=["a", "b", "c"], **SMALL)
    everything = random_batch(5, 2)._replace(images=torch.rand(5, 3, 17, 22))
    batches = [SegmentationBatch(*(field[part] for field in everything)) for part in (slice(0, 3), slice(3, 5))]
    trainer = make_trainer()
    evaluate = trainer.validate if stage == "val" else trainer.test
    (found,) = evaluate(task, DataLoader(batches, batch_size=None), verbose=False)  # type: ignore[arg-type]  # a list
    matrix = ConfusionMatrix(3)
    matrix.update(everything.images.argmax(1), everything.masks)
    scores = matrix.compute()
    iou = dict(zip("abc", scores.pop("iou").tolist(), strict=True))
    expected = {f"{stage}/{name}": value.item() for name, value in scores.items()}
    expected |= {f"{stage}/iou/{name}": value for name, value in iou.items()}
    assert math.isnan(iou["c"])
    losses = [task.losses(10 * batch.images, batch)["cross_entropy"].item() for batch in batches]
    expected[f"{stage}/loss"] = (3 * losses[0] + 2 * losses[1]) / 5
    assert found == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_sizes_and_mirrored_images_are_averaged(make_trainer: Callable[..., Trainer]) -> None:
    batch = random_batch(2, 3, (32, 32))
    plain = SegmentationTask(3, **SMALL).eval()
    averaged = SegmentationTask(3, test_time_flips="horizontal", test_time_scales=[1.0, 1.5], **SMALL).eval()
    averaged.load_state_dict(plain.state_dict())
    loader = DataLoader([batch], batch_size=None)  # type: ignore[arg-type, var-annotated]  # a list of one batch
    trainer = make_trainer()
    for run in (trainer.validate, trainer.test):
        one, other = (run(task, loader, verbose=False) for task in (plain, averaged))
        assert one != other
    (predictions,) = trainer.predict(averaged, loader)  # type: ignore[misc]  # a list of one
    with torch.no_grad():
        both = torch.stack([averaged(batch.images).softmax(1), averaged(batch.images.flip(-1)).softmax(1).flip(-1)])
        probabilities = averaged.probabilities(averaged.eval_forward(batch.images))
    assert torch.equal(predictions.labels.long(), probabilities.argmax(1))  # type: ignore[union-attr]  # not a list
    flipped = SegmentationTask(3, test_time_flips="horizontal", **SMALL).eval()
    flipped.load_state_dict(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(flipped.probabilities(flipped.eval_forward(batch.images)), both.mean(0))


@pytest.mark.parametrize("scales", [[1.0, 1.5], [0.5, 1.0]])
def test_a_fit_validates_with_the_first_size(
    scales: list[float], fit: Callable[..., Trainer], make_trainer: Callable[..., Trainer]
) -> None:
    options: dict[str, Any] = {
        "backbone_options": {"filters": [4, 8], "depth": 1, "norm": "none"},
        "decoder_options": {"norm": "none"},
        "optimizer": partial(torch.optim.SGD, lr=0.0),
    }
    batch = random_batch(2, 3, (32, 32))
    task = SegmentationTask(3, test_time_flips="horizontal", test_time_scales=scales, **options)
    single = SegmentationTask(3, test_time_scales=scales[:1], **options)
    single.load_state_dict(task.state_dict())
    fitted = fit(task, [batch], max_epochs=1)
    logged, loader = dict(fitted.callback_metrics), fitted.val_dataloaders
    (expected,) = make_trainer().validate(single, loader, verbose=False)
    (averaged,) = make_trainer().validate(task, loader, verbose=False)
    assert logged["val/loss"].item() == pytest.approx(expected["val/loss"])
    assert averaged["val/loss"] != pytest.approx(expected["val/loss"])


def test_a_batch_of_ignored_pixels_has_no_loss(fit: Callable[..., Trainer]) -> None:
    batch = random_batch(2, 3)
    nothing = batch._replace(masks=torch.full_like(batch.masks, 255))
    task = SegmentationTask(3, loss={"cross_entropy": 1.0, "dice": 1.0, "lovasz": 1.0}, **SMALL)
    trainer = fit(task, [nothing], max_epochs=1)
    assert trainer.callback_metrics["val/loss"] == 0
    assert trainer.callback_metrics["val/miou"].isnan()


@pytest.mark.parametrize(
    ("mode", "value", "message"),
    [
        ("multiclass", 3, r"images with ids \[41\] have pixels of value 3; expected 0 to 2, or 255"),
        ("multilabel", 2, r"images with ids \[41\] have pixels of value 2; expected 0 to 1, or 255"),
    ],
)
def test_a_label_out_of_range_names_the_image(
    mode: str, value: int, message: str, make_trainer: Callable[..., Trainer]
) -> None:
    batch = random_batch(3, 2, layers=(3,) if mode == "multilabel" else ())
    batch.masks[1, ..., 4, 5] = value
    task = SegmentationTask(3, mode=mode, **SMALL)  # type: ignore[arg-type]  # one of the modes
    loader = DataLoader([batch], batch_size=None)  # type: ignore[arg-type, var-annotated]  # a list of one batch
    for run in (
        partial(make_trainer(max_epochs=1, num_sanity_val_steps=0).fit, val_dataloaders=loader),
        make_trainer().validate,
        make_trainer().predict,
    ):
        with pytest.raises(ArgumentError, match=message):
            run(task, loader)


def test_elsewhere_than_on_the_host_it_stops_training_and_names_the_images(
    fit: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = random_batch(3, 2)
    batch.masks[1, 4, 5] = 7
    monkeypatch.setattr("visiontasks.tasks.segmentation.check_masks", lambda *_: None)
    with pytest.raises(NonFiniteLossError, match=r"cross_entropy nan\) for the images with ids \[40, 41, 42\]"):
        fit(SegmentationTask(2, **SMALL), [batch], max_epochs=1)


def test_masks_of_another_size_are_an_error(make_trainer: Callable[..., Trainer]) -> None:
    batch = random_batch(2, 3)
    wrong = batch._replace(masks=batch.masks[:, 1:])
    loader = DataLoader([wrong], batch_size=None)  # type: ignore[arg-type, var-annotated]  # a list of one batch
    with pytest.raises(ArgumentError, match=r"masks have shape \[2, 16, 22\] .* expected \[2, 17, 22\]"):
        make_trainer(max_epochs=1).fit(SegmentationTask(3, **SMALL), loader, loader)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0"),
        ({"num_classes": 256}, "num_classes is 256"),
        ({"num_classes": 3, "mode": "binary"}, "num_classes is 3 .* 2 with mode 'binary'"),
        ({"num_classes": 3, "class_names": ["a"]}, "class_names has 1 entries for num_classes=3"),
        ({"num_classes": 3, "class_weights": [1.0]}, "class_weights has 1 entries for num_classes=3"),
        ({"num_classes": 3, "auxiliary_weight": -0.4}, "auxiliary_weight is -0.4; expected at least 0"),
        ({"num_classes": 3, "label_smoothing": 10.0}, "label_smoothing is 10.0; expected 0 to 1"),
        ({"num_classes": 3, "decoder": "unett"}, "There is no decoder 'unett'"),
        ({"num_classes": 3, "loss": {"iou": 1.0}}, "There is no loss 'iou'"),
        ({"num_classes": 3, "mode": "multilabel", "class_weights": "median_frequency"}, "exclude each other"),
        ({"num_classes": 3, "test_time_scales": [0.0]}, "scales is"),
    ],
)
def test_arguments_that_contradict_each_other_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        SegmentationTask(**arguments)


def test_weights_of_classes_need_data_to_be_measured_on(fit: Callable[..., Trainer]) -> None:
    with pytest.raises(ArgumentError, match="measured on the training masks, and there is no data module"):
        fit(SegmentationTask(3, class_weights="median_frequency", **SMALL), [random_batch(2, 3)], max_epochs=1)


def write_masks(root: Path, masks: dict[str, np.ndarray], palette: bool = False) -> MaskFolderDataModule:
    """Write the same three images of 20 x 24 for every split, with these masks."""
    for split in ("train", "val", "test"):
        for name, mask in masks.items():
            for kind, pixels in (("images", np.full((20, 24, 3), 90, np.uint8)), ("masks", mask)):
                file = root / kind / split / f"{name}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                image = Image.fromarray(pixels)
                if palette and kind == "masks":
                    image.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
                image.save(file)
    return MaskFolderDataModule(
        root, class_names=["a", "b", "c"], image_size=(16, 16), batch_size=2, num_workers=0, augmentation="none"
    )


def halves(left: int, right: int, dtype: type = np.uint8) -> np.ndarray:
    mask: np.ndarray = np.full((20, 24), left, dtype)
    mask[:, 12:] = right
    return mask


def test_measured_weights_are_in_the_checkpoint(tmp_path: Path, make_trainer: Callable[..., Trainer]) -> None:
    data = write_masks(tmp_path / "data", {"x": halves(0, 1), "y": halves(0, 0), "z": halves(0, 255)})
    task = SegmentationTask(3, class_weights="median_frequency", **SMALL)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, datamodule=data)
    # a: 240 + 480 + 240 of 480 + 480 + 240 pixels; b: 240 of 480; c does not occur.
    assert task.class_weights is not None
    frequency = [0.8, 0.5]
    expected = [0.65 / value for value in frequency] + [1.0]
    assert task.class_weights.tolist() == pytest.approx(expected)
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    loaded = SegmentationTask.load_from_checkpoint(tmp_path / "x.ckpt")
    assert loaded.class_weights is not None
    assert loaded.class_weights.tolist() == task.class_weights.tolist()
    assert loaded.class_names == ["a", "b", "c"]


@pytest.mark.parametrize(("dtype", "palette"), [(np.uint8, True), (np.uint16, False)])
def test_palette_and_16_bit_masks_train(
    dtype: type, palette: bool, tmp_path: Path, make_trainer: Callable[..., Trainer]
) -> None:
    data = write_masks(tmp_path, {"x": halves(0, 1, dtype), "y": halves(2, 2, dtype)}, palette)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(SegmentationTask(3, **SMALL), datamodule=data)
    data.setup("fit")
    assert data.val_set[_request(0, 1)].masks.unique().tolist() == [0, 1, 2]
    assert 0 <= trainer.callback_metrics["val/miou"] <= 1


def test_a_mask_file_with_a_label_out_of_range_is_named(tmp_path: Path, make_trainer: Callable[..., Trainer]) -> None:
    data = write_masks(tmp_path, {"x": halves(0, 1), "wrong": halves(0, 3)})
    with pytest.raises(DataError, match=r"wrong\.png.*240 pixels of value 3; expected 0 to 2"):
        make_trainer(max_epochs=1, num_sanity_val_steps=0).fit(SegmentationTask(3, **SMALL), datamodule=data)


def _request(*indices: int) -> Any:  # noqa: ANN401 - a request of the sampler's
    from visiontasks.data.loading.samplers import BatchRequest

    return BatchRequest(list(indices), 0)
