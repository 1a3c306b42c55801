from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from lightning.pytorch import Trainer
from torch import Tensor, nn

from visiontasks import SegmentationBatch, SegmentationTask, ShapesDataModule
from visiontasks.backbones.backbone import Features
from visiontasks.decoders import Decoder
from visiontasks.decoders.upsampling import enlarge
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.testing import check_task

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8], "depth": 1}}


def save(task: SegmentationTask, path: Path) -> dict[str, Tensor]:
    torch.save(task.state_dict(), path)
    return task.state_dict()


@pytest.mark.parametrize(
    ("decoder", "per_class"),
    [
        ("unet", {"decoder.classifier"}),
        ("segnet", {"decoder.classifier"}),
        ("fpn", {"decoder.classifier"}),
        (
            "fcn",
            {f"decoder.{layer}.{index}" for layer in ("scores", "enlarge") for index in range(3)}
            - {"decoder.enlarge.2"},
        ),
    ],
)
def test_only_what_gives_a_value_for_each_class_is_left_at_random(
    decoder: str, per_class: set[str], tmp_path: Path
) -> None:
    options = {**SMALL, "decoder": decoder, "decoder_options": {"stride": 1} if decoder == "fcn" else {}}
    given = save(SegmentationTask(3, **options, auxiliary_weight=0.4), tmp_path / "source.pth")
    task = SegmentationTask(5, **options, weights=tmp_path / "source.pth")
    found = {key: value for key, value in task.state_dict().items() if key.startswith(("backbone.", "decoder."))}
    differ = {key for key, value in found.items() if value.shape != given[key].shape}
    assert {key.rpartition(".")[0] for key in differ} == per_class
    assert all(torch.equal(value, given[key]) for key, value in found.items() if key not in differ)


def test_weights_within_a_checkpoint_of_another_program_fit(tmp_path: Path) -> None:
    state = SegmentationTask(3, **SMALL).state_dict()
    torch.save({"model_ema": {f"module.{key}": value for key, value in state.items()}}, tmp_path / "other.pth")
    task = SegmentationTask(3, **SMALL, weights=tmp_path / "other.pth")
    parts = {key: value for key, value in task.state_dict().items() if key.startswith(("backbone.", "decoder."))}
    assert all(torch.equal(value, state[key]) for key, value in parts.items())


def test_equal_classes_keep_every_weight_and_grey_images_see_what_colour_showed(tmp_path: Path) -> None:
    source = SegmentationTask(3, **SMALL, normalization="unit").eval()
    save(source, tmp_path / "source.pth")
    task = SegmentationTask(3, **SMALL, normalization="unit", in_channels=1, weights=tmp_path / "source.pth").eval()
    grey = torch.randint(256, (1, 1, 16, 24), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(task(grey), source(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_a_checkpoint_brings_its_normalization_and_is_not_needed_again(
    make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    data = ShapesDataModule("segmentation", train_size=2, val_size=1, batch_size=2)
    source = SegmentationTask(5, **SMALL, normalization="dataset")
    trainer = make_trainer(max_steps=1)
    trainer.fit(source, datamodule=data)
    trainer.save_checkpoint(tmp_path / "source.ckpt")
    task = SegmentationTask(7, **SMALL, weights=tmp_path / "source.ckpt")
    assert task.hparams["weights"] is None
    assert task.normalize.mode == task.hparams["normalization"] == "dataset"
    torch.testing.assert_close(task.normalize.mean, source.normalize.mean)
    chosen = SegmentationTask(7, **SMALL, weights=tmp_path / "source.ckpt", normalization="unit")
    assert chosen.normalize.mode == "unit"


def test_weights_of_another_decoder_are_an_error(tmp_path: Path) -> None:
    save(SegmentationTask(3, **SMALL, decoder="segnet"), tmp_path / "source.pth")
    with pytest.raises(CheckpointError, match=r"not those of this segmentation; nothing was loaded:\n  decoder\."):
        SegmentationTask(3, **SMALL, weights=tmp_path / "source.pth")
    with pytest.raises(ArgumentError, match=r"weights is 'missing\.ckpt', and there is no such file"):
        SegmentationTask(3, **SMALL, weights="missing.ckpt")


class Coarsest(Decoder):
    """A decoder of a user, which looks at one map."""

    def __init__(self, channels: tuple[int, ...], strides: tuple[int, ...], num_outputs: int) -> None:
        super().__init__(channels, strides)
        self.classifier = nn.Conv2d(channels[-1], num_outputs, 1)

    def forward(self, features: Features, size: tuple[int, int]) -> Float[Tensor, "batch outputs height width"]:
        return enlarge(self.classifier(features[-1]), self.strides[-1], size)


def test_a_decoder_of_ones_own_keeps_the_contract() -> None:
    images, masks = torch.rand(2, 3, 9, 12), torch.randint(3, (2, 9, 12), dtype=torch.uint8)
    batch = SegmentationBatch(images, masks, torch.tensor([[9, 12]] * 2), torch.ones(2, 2), torch.arange(2))
    decoder = Coarsest((4, 8, 8), (1, 2, 4), 3)
    check_task(SegmentationTask(3, **SMALL, decoder=decoder), batch, {"decoder": Coarsest((4, 8, 8), (1, 2, 4), 3)})


@pytest.mark.parametrize("options", [{"decoder": Coarsest((4, 8, 9), (1, 2, 4), 3)}, {"decoder_options": {"depth": 1}}])
def test_a_decoder_for_another_backbone_is_an_error(options: dict[str, Any]) -> None:
    arguments = {"decoder": Coarsest((4, 8, 8), (1, 2, 4), 3), **options}
    with pytest.raises(ArgumentError, match="expected the same, and no decoder_options"):
        SegmentationTask(3, **SMALL, **arguments)
