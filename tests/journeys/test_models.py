"""Which network is trained, from which weights, and how much of it."""

from pathlib import Path

import pytest
import torch

from tests.journeys import made_data as made
from tests.journeys.journey import SMALL, SMALL_IMAGES, UNSEEN, Journey, cases, check_described, travel
from visiontasks.prediction import load_task
from visiontasks.runs import resolve_checkpoint
from visiontasks.tasks.reading import read_checkpoint


def backbone_is_that_of_the_file() -> None:
    """Hold that what was frozen is what the file held."""
    weights = torch.load("resnet18.pth", weights_only=True)
    kept = load_task("runs/fit").backbone.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in kept.items())
    assert len(kept) > 100


def backbone_has_joined_in_the_second_epoch() -> None:
    """Hold that the last weights of the backbone differ from those of the file, and the optimiser has them."""
    weights = torch.load("resnet18.pth", weights_only=True)
    checkpoint = read_checkpoint(Path(resolve_checkpoint("runs/fit")).with_name("last.ckpt"))
    state = checkpoint["state_dict"]
    assert not torch.equal(state["backbone.conv1.weight"], weights["conv1.weight"])
    assert len(checkpoint["optimizer_states"][0]["param_groups"]) > 1


JOURNEYS = (
    Journey(
        "swap the backbone",
        "backbones.md#what-there-is",
        made.photos,
        ("visiontasks fit --data FolderDataModule --data.root photos --model.backbone resnet18",),
        left=(("runs/fit/version_0/hparams.yaml", "backbone: resnet18"),),
        quick=f"{SMALL_IMAGES} {UNSEEN}",
    ),
    Journey(
        "a backbone of timm",
        "backbones.md#models-of-timm",
        made.photos,
        ("visiontasks fit --data FolderDataModule --data.root photos --model.backbone timm/resnet10t",),
        left=(("runs/fit/version_0/hparams.yaml", "backbone: timm/resnet10t"),),
        quick=f"{SMALL_IMAGES} {UNSEEN}",
        slow=True,
    ),
    Journey(
        "start from weights on disk",
        "backbones.md#weights-channels-and-freezing your_own_data.md",
        made.published_weights,
        (
            "visiontasks fit --data FolderDataModule --data.root photos --model.backbone resnet18 "
            "--model.backbone_weights resnet18.pth --model.freeze all",
        ),
        quick=f"{SMALL_IMAGES} {UNSEEN}",
        check=backbone_is_that_of_the_file,
    ),
    Journey(
        "freeze, then unfreeze",
        "backbones.md#weights-channels-and-freezing your_own_data.md",
        made.published_weights,
        (
            "visiontasks fit --data FolderDataModule --data.root photos --model.backbone resnet18 "
            "--model.backbone_weights resnet18.pth --model.freeze all "
            "--trainer.callbacks+=BackboneFinetuning --trainer.callbacks.unfreeze_backbone_at_epoch 1",
        ),
        quick=f"{SMALL_IMAGES} {UNSEEN} --trainer.max_epochs 2",
        check=backbone_has_joined_in_the_second_epoch,
        slow=True,
    ),
    Journey(
        "larger images",
        "command_line.md#training your_own_data.md data.md defaults.md",
        made.photos,
        (
            "visiontasks fit --data FolderDataModule --data.root photos --data.image_size [96,128] "
            "--data.batch_size 4 --model.gradient_checkpointing true",
        ),
        left=(("runs/fit/version_0/hparams.yaml", "gradient_checkpointing: true"),),
        quick=f"{SMALL} {UNSEEN}",
    ),
)


@pytest.mark.parametrize("journey", cases(JOURNEYS))
def test_any_network_from_any_weights(
    journey: Journey, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    check_described(journey)
    travel(journey, capsys, caplog)
