"""Names that users of other libraries try first, as they type them."""

from pathlib import Path

import pytest

from visiontasks import ClassificationTask, FolderDataModule, ShapesDataModule
from visiontasks.cli import hints, main
from visiontasks.cli.hints import arguments_of, meant_flag, owners_of
from visiontasks.cli.training import TrainingCLI

MEANT = {
    "fit --epochs 3": "There is no option '--epochs'. Did you mean '--trainer.max_epochs'?",
    "fit --batch_size 8": "There is no option '--batch_size'. Did you mean '--data.batch_size'?",
    "fit --model.lr 0.1": ("--model.lr: ClassificationTask has no argument 'lr'. Did you mean '--model.optimizer.lr'?"),
    "fit --image_size 224": "There is no option '--image_size'. Did you mean '--data.image_size'?",
    "fit --imgsz=224": "There is no option '--imgsz'. Did you mean '--data.image_size'?",
    "fit --data YOLODataModule --imgsz=224": (
        "There is no option '--imgsz'. Did you mean '--data.image_size' or '--data.shorter'?"
    ),
    "fit --device cpu": "There is no option '--device'. Did you mean '--trainer.devices' or '--trainer.accelerator'?",
    "fit --momentum 0.9": (
        "There is no option '--momentum'. Did you mean '--model.optimizer SGD --model.optimizer.momentum'?"
    ),
    "fit --model.optimizer.momentum 0.9": (
        "--model.optimizer.momentum: AdamW has no argument 'momentum'. "
        "Did you mean '--model.optimizer SGD --model.optimizer.momentum'?"
    ),
    "fit --copy_paste 0.5": (
        "There is no option '--copy_paste'. Did you mean '--data.augmentation default+copy-paste'?"
    ),
    "fit --resume": "There is no option '--resume'. Did you mean '--ckpt_path last'?",
    "fit --cos_lr true": "There is no option '--cos_lr'. Did you mean '--model.lr_scheduler cosine'?",
    "train --epochs 3": "there is no command 'train'. Did you mean 'fit'?",
    "detect train": "there is no command 'detect'. Did you mean 'fit --model DetectionTask'?",
    "fit --learning-rate 0.1": "There is no option '--learning-rate'. Did you mean '--model.optimizer.lr'?",
    "fit --gpus 2": "There is no option '--gpus'. Did you mean '--trainer.devices'?",
    "fit --devices 2": "There is no option '--devices'. Did you mean '--trainer.devices'?",
    "fit --max_epoch 3": "There is no option '--max_epoch'. Did you mean '--trainer.max_epochs'?",
    "fit --data.epochs 3": (
        "--data.epochs: ShapesDataModule has no argument 'epochs'. Did you mean '--trainer.max_epochs'?"
    ),
    "fit --trainer.epochs 3": "There is no option '--trainer.epochs'. Did you mean '--trainer.max_epochs'?",
    "fit --data.batch-size 3": (
        "--data.batch-size: ShapesDataModule has no argument 'batch-size'. Did you mean '--data.batch_size'?"
    ),
    "fit --backbone resnet18": "There is no option '--backbone'. Did you mean '--model.backbone'?",
    "fit --model.optimizer.learning_rate 3": (
        "--model.optimizer.learning_rate: AdamW has no argument 'learning_rate'. Did you mean '--model.optimizer.lr'?"
    ),
    "fit --model.decoder unet": (
        "--model.decoder: ClassificationTask has no argument 'decoder'. AutoencodingTask, SegmentationTask have it: "
        "choose by --model."
    ),
    "fit --decoder unet": (
        "There is no option '--decoder'. With --model AutoencodingTask or SegmentationTask there is --model.decoder."
    ),
    "fit --num_classes 3": "--num_classes cannot be given: it is taken from the data module.",
    "check --root data": "There is no option '--root'. With --data ",
}


@pytest.mark.parametrize("command", MEANT)
def test_a_usual_name_leads_to_the_flag(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 2
    assert capsys.readouterr().err.startswith(f"error: {MEANT[command]}")


def test_every_flag_of_the_table_exists() -> None:
    parser = TrainingCLI("fit", []).parser
    known = {option for action in parser._actions for option in action.option_strings}
    known |= {f"--model.{name}" for name in arguments_of(ClassificationTask)}
    known |= {f"--data.{name}" for name in arguments_of(FolderDataModule)}
    flags = [hints._flag(f"--{one}") for words in hints._MEANT for one in words.split(" | ")]
    # Arguments of the optimiser are no flags of the parser.
    assert {flag for flag in flags if flag not in known} == {"--model.optimizer.lr", "--model.optimizer.weight_decay"}


def test_no_name_has_two_meanings() -> None:
    names = " ".join(hints._MEANT.values()).split()
    assert len(names) == len({*names})


def test_a_name_like_no_other_has_no_hint() -> None:
    assert meant_flag("--zebra", ["--data.root", "--trainer.max_epochs"]) is None
    assert meant_flag("--epochs", ["--data.root"]) is None


def test_arguments_are_those_of_the_bases_that_get_them() -> None:
    assert {"train_size", "batch_size"} <= arguments_of(ShapesDataModule)
    assert "root" not in arguments_of(ShapesDataModule)
    assert owners_of("data", "train_size") == ["ShapesDataModule"]
    assert owners_of("trainer", "train_size") == []
