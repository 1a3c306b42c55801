"""What a training starts from, in a line at its begin."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from visiontasks import AutoencodingTask, ClassificationTask, SegmentationTask, ShapesDataModule, create_backbone
from visiontasks.cli.start import describe_figures, describe_start, will_validate
from visiontasks.cli.training import TrainingCLI

SIZE = (224, 224)
SMALL: dict[str, Any] = {"backbone_options": {"filters": (4, 8), "depth": 1}}


def line(**options: Any) -> str:  # noqa: ANN401 - arguments of the task
    text = describe_start(ClassificationTask(4, **options), SIZE)
    assert text is not None
    return text


def test_a_backbone_without_published_weights_names_one_that_has_some() -> None:
    assert line(**SMALL) == (
        "The backbone cnn, the part of the network that looks at the images, starts from random weights. Weights "
        "learnt on the photographs of ImageNet usually need fewer images and fewer steps: --model.backbone resnet18 "
        "--model.backbone_weights imagenet (downloaded once)."
    )
    assert "--model.backbone resnet18 " in line(backbone="resnet18-small")


@pytest.mark.parametrize("name", ["resnet18", "timm/test_vit", "timm/mobilenetv3_small_050"])
def test_a_backbone_with_published_weights_names_its_own(name: str) -> None:
    options = {"dynamic_img_size": True} if name == "timm/test_vit" else {}
    said = line(backbone=name, backbone_options=options)
    assert f"The backbone {name}, " in said
    assert " steps: --model.backbone_weights imagenet (downloaded" in said


def test_a_model_of_timm_without_published_weights_names_another() -> None:
    assert "--model.backbone resnet18 " in line(backbone="timm/convnext_atto_rms")


def test_the_backbone_that_is_named_fits_the_decoder() -> None:
    task = SegmentationTask(2, decoder="segnet", **SMALL)
    said = describe_start(task, None)
    assert said is not None
    assert "--model.backbone vgg11-bn --model.backbone_weights imagenet" in said
    SegmentationTask(2, decoder="segnet", backbone="vgg11-bn")


def test_small_images_and_autoencoders_start_from_random_weights_as_usual() -> None:
    small = describe_start(ClassificationTask(4, **SMALL), (28, 24))
    assert small is not None
    assert small.endswith("starts from random weights, as is usual for images as small as 28 x 24 pixels.")
    encoder = describe_start(AutoencodingTask(image_size=(32, 32), **SMALL), SIZE)
    assert encoder is not None
    assert encoder.endswith("as is usual for autoencoders.")


def test_weights_that_were_loaded_or_a_backbone_of_ones_own_are_not_random(tmp_path: Path) -> None:
    torch.save(create_backbone("cnn", **SMALL["backbone_options"]).state_dict(), tmp_path / "a.pth")
    task = ClassificationTask(4, backbone_weights=tmp_path / "a.pth", **SMALL)
    assert describe_start(task, SIZE) is None
    own = create_backbone("cnn", filters=(4,))
    assert describe_start(ClassificationTask(4, backbone=own), SIZE) is None


@pytest.mark.parametrize(
    ("options", "validated"),
    [
        ({"max_epochs": 1}, True),
        ({"max_epochs": 1, "limit_val_batches": 0}, False),
        ({"max_epochs": 2, "check_val_every_n_epoch": 3}, False),
        ({"max_epochs": 3, "check_val_every_n_epoch": 3}, True),
        ({"max_epochs": -1, "max_steps": 3}, False),
        ({"max_epochs": -1, "max_steps": 4}, True),
        ({"max_epochs": -1, "max_steps": 2, "val_check_interval": 0.5}, True),
        ({"max_epochs": -1, "max_steps": 2, "accumulate_grad_batches": 2}, True),
        ({"max_epochs": -1, "max_steps": 4, "val_check_interval": 5, "check_val_every_n_epoch": None}, False),
        ({"max_epochs": -1, "max_steps": 5, "val_check_interval": 5, "check_val_every_n_epoch": None}, True),
    ],
    ids=str,
)
def test_whether_there_will_be_a_validation_is_known_at_the_start(
    options: dict[str, Any], validated: bool, make_trainer: Callable[..., Trainer]
) -> None:
    class Asked(Callback):
        said, seen = False, False

        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.said = will_validate(trainer)

        def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.seen = True

    trainer = make_trainer(callbacks=[asked := Asked()], num_sanity_val_steps=0, **options)
    trainer.fit(ClassificationTask(4, **SMALL), ShapesDataModule(train_size=8, val_size=2, batch_size=2, image_size=24))
    assert (asked.said, asked.seen) == (validated, validated)


def test_without_a_validation_no_epoch_is_called_the_best() -> None:
    said = describe_figures(ClassificationTask(4, **SMALL), validated=False)
    assert said.endswith("No validation will be run, so no epoch is called the best; last.ckpt keeps the last weights.")


def test_a_run_says_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(
        "--data.train_size 8 --data.val_size 4 --data.batch_size 4 --data.image_size 64 --shown [] "
        "--model.backbone_options.filters [4] --trainer.max_epochs 1 --trainer.accelerator cpu"
    )
    TrainingCLI("fit", words).run()
    out = capsys.readouterr().out
    assert out.count("starts from random weights. Weights learnt on") == 1
    assert (
        out.count("The epoch of the highest val/accuracy is the best, of equals the first; its weights are kept,") == 1
    )
    TrainingCLI("fit", [*words, "--trainer.max_epochs", "2", "--ckpt_path", "last"]).run()
    assert "random weights" not in capsys.readouterr().out
    TrainingCLI("fit", [*words, "--trainer.enable_progress_bar", "false"]).run()
    assert "An epoch has a line" not in capsys.readouterr().out
