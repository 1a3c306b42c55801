import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks import (
    AutoencodingBatch,
    AutoencodingTask,
    MNISTDataModule,
    SegmentationBatch,
    ShapesDataModule,
)
from visiontasks.errors import ArgumentError
from visiontasks.losses.reconstruction import ReconstructionLoss
from visiontasks.metrics.code import CodeAccuracy, fit_linear, nearest_classes
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {"filters": [4, 8], "depth": 1}
SIZE = (17, 22)


def make(**options: Any) -> AutoencodingTask:  # noqa: ANN401 - arguments of the task
    return AutoencodingTask(**{"code_size": 6, "backbone_options": SMALL, "image_size": SIZE, **options})


def random_batch(count: int = 4, channels: int = 3, size: tuple[int, int] = SIZE) -> AutoencodingBatch:
    images = torch.randint(256, (count, channels, *size), dtype=torch.uint8)
    return AutoencodingBatch(images, torch.arange(count) % 3, torch.arange(count))


@pytest.mark.parametrize(
    ("channels", "size", "options"),
    [
        (3, SIZE, {}),
        (1, (8, 8), {"code": "map", "decoder": "unpooling"}),
        (5, (9, 31), {"decoder": "resize", "decoder_options": {"depth": 2, "widths": [8, 4]}}),
        (2, (1, 1), {"backbone_options": {**SMALL, "norm": "none"}, "decoder_options": {"norm": "none"}}),
        (3, SIZE, {"variational": True, "kl_weight": 0.5, "kl_warmup": 0.5}),
        (3, SIZE, {"variational": True, "code": "map", "denoising": "salt_and_pepper"}),
        (3, SIZE, {"denoising": "gaussian", "loss": {"mse": 1.0, "ssim": 0.1, "l1": 1.0, "binary_cross_entropy": 0.1}}),
        (1, (33, 20), {"denoising": "erased_patches", "backbone": "resnet18-small", "backbone_options": None}),
    ],
)
def test_the_contract_is_kept(channels: int, size: tuple[int, int], options: dict[str, Any]) -> None:
    check_task(make(in_channels=channels, image_size=size, **options), random_batch(4, channels, size))


def test_a_map_takes_images_of_any_size() -> None:
    task = make(code="map", image_size=None).eval()
    for size in (SIZE, (40, 31), (1, 1)):
        outputs = task(torch.rand(2, 3, *size))
        assert outputs.logits.shape == (2, 3, *size)
        assert outputs.codes.shape == (2, 6, -(-size[0] // 4), -(-size[1] // 4))
        assert task.decode(outputs.codes, size).shape == (2, 3, *size)


def test_the_image_passes_through_the_code_and_nothing_else() -> None:
    task = make().eval()
    outputs = task(random_batch().images)
    torch.testing.assert_close(
        task.decode(task.encode(random_batch().images[:1] * 0)), task.decode(task.encode(torch.zeros(1, 3, *SIZE)))
    )
    torch.testing.assert_close(task.decode(outputs.codes), outputs.logits.sigmoid())
    assert outputs.codes.shape == (4, 6)


@pytest.mark.parametrize("normalization", ["imagenet", "unit"])
def test_targets_are_the_pixels_in_0_to_1_in_float32(normalization: Any) -> None:  # noqa: ANN401 - a Literal
    task = make(normalization=normalization, loss="mse")
    batch = random_batch()
    with torch.autocast("cpu", torch.bfloat16):
        outputs = task(batch.images)
        assert outputs.logits.dtype == outputs.codes.dtype == torch.float32
        loss = task.losses(outputs, batch)["mse"]
    expected = (outputs.logits.sigmoid() - batch.images.float() / 255).square().mean()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, expected)
    floats = batch._replace(images=batch.images.float() / 255)
    torch.testing.assert_close(task.losses(outputs, floats)["mse"], expected)


def test_padding_does_not_count() -> None:
    task = make().eval()
    images = torch.randint(256, (2, 3, *SIZE), dtype=torch.uint8)
    sizes = torch.tensor([SIZE, (5, 11)])
    images[1, :, 5:], images[1, :, :, 11:] = 0, 0
    batch = SegmentationBatch(
        images, torch.zeros(2, *SIZE, dtype=torch.uint8), sizes, torch.ones(2, 2), torch.arange(2)
    )
    outputs = task(batch.images)
    other = outputs._replace(logits=outputs.logits.clone())
    other.logits[1, :, 5:] = 50
    for found in (outputs, other):
        whole = task.losses(found._replace(logits=found.logits[:1]), batch._replace(images=images[:1], sizes=sizes[:1]))
        part = ReconstructionLoss("mse")(found.logits[1:, :, :5, :11], images[1:, :, :5, :11].float() / 255)
        torch.testing.assert_close(task.losses(found, batch)["mse"], (whole["mse"] + part["mse"]) / 2)


def test_data_of_any_task_will_do(make_trainer: Callable[..., Trainer]) -> None:
    for kind in ("classification", "localization", "detection", "segmentation"):
        data = ShapesDataModule(kind, train_size=8, val_size=5, image_size=SIZE, batch_size=4)
        trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0)
        trainer.fit(make(), datamodule=data)
        assert trainer.callback_metrics["val/mse"] > 0
        assert ("val/knn_accuracy" in trainer.callback_metrics) == (kind in ("classification", "localization"))


@pytest.mark.parametrize("kind", ["gaussian", "salt_and_pepper", "erased_patches"])
def test_images_are_spoilt_in_training_only_and_targets_never(kind: Any) -> None:  # noqa: ANN401 - a Literal
    task = make(denoising=kind, noise=0.5)
    batch = random_batch()
    assert task.eval().inputs(batch)[0] is batch.images
    spoilt = task.train().inputs(batch)[0]
    assert spoilt.dtype == torch.float32
    assert ((spoilt >= 0) & (spoilt <= 1)).all()
    assert (spoilt - batch.images.float() / 255).abs().mean() > 0.05
    outputs = task(spoilt)
    expected = (outputs.logits.sigmoid() - batch.images.float() / 255).square().mean()
    torch.testing.assert_close(task.losses(outputs, batch)["mse"], expected)


def test_what_is_spoilt_depends_on_seed_and_step(fit: Callable[..., Trainer]) -> None:
    class Noting(AutoencodingTask):
        def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of AutoencodingTask
            super().__init__(**kwargs)
            self.seen: list[Tensor] = []

        def forward(self, images: Any) -> Any:  # noqa: ANN401 - as the base
            if self.training:
                self.seen.append(images)
            return super().forward(images)

    def train(draws: int, accumulated: int = 1) -> list[Tensor]:
        torch.manual_seed(3)
        task = Noting(code_size=6, backbone_options=SMALL, image_size=SIZE, denoising="gaussian")
        torch.rand(draws)  # what else a program draws does not matter
        grey = random_batch()._replace(images=torch.full((4, 3, *SIZE), 128, dtype=torch.uint8))
        fit(task, [grey, grey], max_epochs=1, accumulate_grad_batches=accumulated)
        return task.seen

    first, second = train(0), train(5)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    # Also where two batches make one step.
    for one, other in (first, train(0, accumulated=2)):
        assert not torch.equal(one, other)


def test_codes_are_judged_by_training_images(make_trainer: Callable[..., Trainer]) -> None:
    data = ShapesDataModule(
        train_size=40, val_size=11, test_size=7, image_size=SIZE, batch_size=8, augmentation="strong"
    )
    task = make(bank_size=13)
    trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(task, datamodule=data)
    logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
    task.eval()
    with torch.no_grad():
        codes = task.encode(data.val_set.pixels.permute(0, 3, 1, 2))  # type: ignore[attr-defined]  # in memory
        rows = torch.tensor([index * 40 // 13 for index in range(13)])
        bank = task.encode(data.train_set.pixels[rows].permute(0, 3, 1, 2))
    labels, known = data.val_set.labels, data.train_set.labels[rows]  # type: ignore[attr-defined]  # in memory
    nearest = (nearest_classes(codes, bank, known) == labels).float().mean().item()
    linear = (fit_linear(bank, known)(codes).argmax(1) == labels).float().mean().item()
    assert logged["val/knn_accuracy"] == pytest.approx(nearest)
    assert logged["val/linear_accuracy"] == pytest.approx(linear)
    (tested,) = trainer.test(task, datamodule=data, verbose=False)
    assert {"test/mse", "test/psnr", "test/ssim", "test/knn_accuracy", "test/linear_accuracy"} <= tested.keys()
    (alone,) = make_trainer().test(
        task, datamodule=ShapesDataModule(train_size=40, test_size=7, image_size=SIZE), verbose=False
    )
    assert alone["test/knn_accuracy"] == tested["test/knn_accuracy"]


def test_a_process_without_validation_images_encodes_its_share(
    make_trainer: Callable[..., Trainer], monkeypatch: pytest.MonkeyPatch
) -> None:
    task, trainer = make(), make_trainer()
    encoded: list[int] = []
    monkeypatch.setattr(CodeAccuracy, "remember", lambda self, codes, labels: encoded.append(len(codes)))
    monkeypatch.setattr(CodeAccuracy, "compute", lambda self: {})
    # This process has no labels; another one has.
    monkeypatch.setattr(CodeAccuracy, "update", lambda self, predictions, batch: None)
    monkeypatch.setattr(trainer.strategy, "reduce_boolean_decision", lambda decision, all: not all)
    data = ShapesDataModule(train_size=12, val_size=4, image_size=SIZE, eval_batch_size=8)
    trainer.validate(task, datamodule=data, verbose=False)
    assert encoded == [8, 4]


def test_judging_codes_leaves_the_training_as_it_is(make_trainer: Callable[..., Trainer]) -> None:
    weights = []
    for bank_size in (0, 10):
        torch.manual_seed(0)
        task = make(bank_size=bank_size, denoising="gaussian", variational=True)
        data = ShapesDataModule(train_size=16, val_size=5, image_size=SIZE, batch_size=8)
        trainer = make_trainer(max_epochs=2)
        trainer.fit(task, datamodule=data)
        assert ("val/knn_accuracy" in trainer.callback_metrics) == bool(bank_size)
        weights.append(task.state_dict())
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_variational_autoencoder_draws_codes_in_training_and_images_afterwards() -> None:
    task = make(variational=True)
    images = random_batch().images
    assert not torch.equal(task(images).logits, task(images).logits)
    task.eval()
    first, second = task(images), task(images)
    assert torch.equal(first.logits, second.logits)
    assert first.log_variances is not None
    drawn = task.sample(5)
    assert drawn.shape == (5, 3, *SIZE)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert make(variational=True, code="map").eval().sample(2, (20, 9)).shape == (2, 3, 20, 9)


def test_the_divergence_counts_per_value_and_warms_up(fit: Callable[..., Trainer]) -> None:
    task, batch = make(variational=True, kl_weight=3.0).eval(), random_batch()
    outputs = task(batch.images)
    variances = outputs.log_variances.exp()
    divergence = (outputs.codes.square() + variances - 1 - variances.log()).sum(1).mean() / 2
    torch.testing.assert_close(task.losses(outputs, batch)["kl"], 3 * divergence / (3 * math.prod(SIZE)))

    shares = []

    class Noting(AutoencodingTask):
        def on_train_batch_end(self, *arguments: object) -> None:
            shares.append(self._kl_share())

    task = Noting(code_size=6, backbone_options=SMALL, image_size=SIZE, variational=True, kl_warmup=0.5)
    fit(task, [batch] * 4, max_epochs=2)
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])


def test_a_warm_up_without_an_end_is_refused(fit: Callable[..., Trainer]) -> None:
    task = make(variational=True, kl_warmup=0.5, lr_scheduler="constant", warmup=0.0)
    with pytest.raises(ArgumentError, match="set max_epochs or max_steps"):
        fit(task, [random_batch()], max_epochs=-1)


def test_without_a_variational_code_there_is_nothing_to_draw() -> None:
    with pytest.raises(ArgumentError, match="variational=True"):
        make().sample(1)


def test_a_checkpoint_is_enough(fit: Callable[..., Trainer], tmp_path: Path) -> None:
    task = make(code_size=5, variational=True, denoising="gaussian", decoder="resize", loss={"ssim": 1.0})
    fit(task, [random_batch()], max_epochs=1).save_checkpoint(tmp_path / "a.ckpt")
    loaded = AutoencodingTask.load_from_checkpoint(tmp_path / "a.ckpt").eval()
    images = random_batch().images
    assert torch.equal(loaded(images).logits, task.eval()(images).logits)
    assert loaded.fixed_size == SIZE


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": None}, "give image_size=\\(height, width\\), or code='map'"),
        ({"code_size": 0}, "code_size is 0"),
        ({"kl_warmup": 1.5}, "kl_warmup 1.5"),
        ({"noise": 0.0, "denoising": "gaussian"}, "noise is 0.0"),
        ({"decoder_options": {"depht": 2}}, "decoder was given {'depht': 2}"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(**options)


def test_images_of_another_size_are_named(make_trainer: Callable[..., Trainer]) -> None:
    with pytest.raises(ArgumentError, match="feature map of 5 x 5; a code that is a vector was made for 5 x 6"):
        make()(torch.rand(1, 3, 20, 20))
    with pytest.raises(ArgumentError, match=r"size \(20, 20\), the code is a vector and was made for \(17, 22\)"):
        make_trainer(max_epochs=1).fit(
            make(), datamodule=ShapesDataModule(train_size=8, val_size=4, image_size=(20, 20))
        )
    with pytest.raises(ArgumentError, match=r"size is \(9, 9\); expected \(17, 22\)"):
        make().eval().decode(torch.zeros(1, 6), (9, 9))
    with pytest.raises(ArgumentError, match="the height and width of the images"):
        make(code="map").eval().decode(torch.zeros(1, 6, 2, 2))


def test_it_trains_on_mnist(data_root: Path, make_trainer: Callable[..., Trainer]) -> None:
    data = MNISTDataModule(data_root, val_size=59_000, batch_size=25, eval_batch_size=500)
    task = AutoencodingTask(
        code_size=16,
        in_channels=1,
        image_size=(28, 28),
        backbone_options=SMALL,
        bank_size=500,
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.005),
    )
    trainer = make_trainer(max_epochs=6, limit_val_batches=1, check_val_every_n_epoch=6, precision="bf16-mixed")
    trainer.fit(task, datamodule=data)
    assert trainer.callback_metrics["val/mse"] < 0.06
    assert trainer.callback_metrics["val/knn_accuracy"] > 0.6
