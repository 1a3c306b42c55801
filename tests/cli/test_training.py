"""The command line, as a user types it."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
import yaml
from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks import ClassificationBatch, ClassificationTask, ShapesDataModule, Task
from visiontasks.cli import main
from visiontasks.cli.training import TrainingCLI, run_recipe

SMALL = (
    "--data.train_size 24 --data.val_size 8 --data.test_size 8 --data.batch_size 8 --data.image_size [24,24] "
    "--model.backbone_options.filters [4,8] --model.backbone_options.depth 1 "
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
DATA = "--data.train_size 24 --data.val_size 8 --data.test_size 8 --data.batch_size 8 --data.image_size [24,24]"

MESSAGES = {
    "fitt": "error: there is no command 'fitt'. Did you mean 'fit'?",
    "fit --model.bakcbone cnn": (
        "error: --model.bakcbone: ClassificationTask has no argument 'bakcbone'. Did you mean '--model.backbone'?"
    ),
    "fit --trainer.max_epoch 3": "error: There is no option '--trainer.max_epoch'. Did you mean '--trainer.max_epochs'",
    "fit --trainer.max_epochs ten": "error: --trainer.max_epochs ten: expected int",
    "fit --model ClasificationTask": "error: --model ClasificationTask: unknown. Did you mean 'ClassificationTask'",
    "fit --model.normalization imagenett": "error: --model.normalization imagenett: unknown. Did you mean 'imagenet'",
    "fit --model.normalization.mean [120,120,120] --model.normalization.std [60,60,60]": (
        "error: normalization is {'mean': [120.0, 120.0, 120.0], 'std': [60.0, 60.0, 60.0]}; expected values of pixels"
    ),
    "fit --trainer.logger wandb": "error: --trainer.logger wandb: unknown. Did you mean 'WandbLogger'?",
    "fit --model.optimizer SDG": "error: --model.optimizer SDG: unknown. Did you mean 'SGD'?",
    "fit --data.batch_size x": "error: --data.batch_size x: expected int.",
    "fit --data.batch_size 0": "error: batch_size is 0",
    "fit --model.backbone cmn": "error: There is no backbone 'cmn'. Did you mean 'cnn'?",
    "fit --model.num_classes 7": "error: --model.num_classes is 7, but ShapesDataModule has 4.",
    "fit --model.backbone_weights gone.pth": "error: backbone_weights is 'gone.pth', and there is no such file.",
    "fit --model.backbone_weights imagenet": "error: backbone_weights is 'imagenet', but torchvision has published no",
    "fit --model.freeze some": "error: --model.freeze some: expected int or 'none' or 'all'.",
    "fit --model.freeze 9": "error: freeze is 9; CNN can be frozen by 'none', 'all' or a number of stages from 0 to 4.",
    "fit --ckpt_path gone.ckpt": "error: There is no checkpoint 'gone.ckpt'.",
    "test": "error: visiontasks test scores a checkpoint: give --ckpt_path FILE.",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(command: str) -> int:
    """Run a command line."""
    return main(command.split())


@pytest.mark.parametrize("command", MESSAGES)
def test_wrong_input_gives_one_readable_message(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(MESSAGES[command])
    assert "Traceback" not in printed
    assert not (folder / "runs").exists()


def test_fit_test_and_predict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"fit {SMALL} --trainer.max_epochs 2 --model.optimizer SGD --model.optimizer.lr 0.01") == 0
    printed = capsys.readouterr().out
    assert "val/accuracy" in printed
    assert "Run folder: runs/fit/version_0" in printed
    run_folder = folder / "runs" / "fit" / "version_0"
    assert (run_folder / "metrics.csv").read_text().count("\n") > 2
    assert (run_folder / "predictions" / "val_epoch_1.png").exists()
    (checkpoint,) = (run_folder / "checkpoints").glob("epoch*.ckpt")
    config = (run_folder / "config.yaml").read_text()
    assert yaml.safe_load(config)["model"]["init_args"]["optimizer"]["class_path"] == "torch.optim.SGD"

    task = ClassificationTask.load_from_checkpoint(checkpoint)
    assert task.class_names == ["circle", "square", "triangle", "star"]
    assert task.image_size == (24, 24)
    assert torch.load(checkpoint, weights_only=True)["hyper_parameters"]["backbone_options"] == {
        "filters": [4, 8],
        "depth": 1,
    }

    # The model comes from the checkpoint, and scoring writes no configuration over the one of the fit.
    assert run(f"test --ckpt_path {checkpoint} {DATA} --trainer.enable_progress_bar false") == 0
    assert "test/accuracy" in capsys.readouterr().out
    assert (run_folder / "config.yaml").read_text() == config
    assert not list((folder / "runs" / "test").rglob("config.yaml"))
    assert run(f"validate --ckpt_path={checkpoint} {DATA} --trainer.enable_progress_bar false") == 0
    assert "val/accuracy" in capsys.readouterr().out

    picture = next((run_folder / "predictions").glob("*.png"))
    (folder / "broken.png").write_bytes(b"no image")
    assert main(["predict", str(checkpoint), str(picture)]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "file,label,class,score"
    assert row.split(",")[2] in task.class_names
    assert main(["predict", str(checkpoint), str(picture), "broken.png", "-o", "out.csv"]) == 1
    assert "broken.png" in capsys.readouterr().err
    assert len((folder / "out.csv").read_text().splitlines()) == 2
    odd = folder / os.fsdecode(b"caf\xe9.png")  # a name that is no UTF-8
    odd.write_bytes(picture.read_bytes())
    assert main(["predict", str(checkpoint), str(odd), "-o", "out.csv"]) == 0
    assert b"caf\xe9.png" in (folder / "out.csv").read_bytes()


def test_a_trial_run_writes_nothing(folder: Path) -> None:
    assert run(f"fit {SMALL} --trainer.fast_dev_run true") == 0
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_printed_and_saved_configurations_give_the_same_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(f"fit {SMALL} --trainer.max_epochs 1 --print_config")
    assert ended.value.code == 0
    (folder / "printed.yaml").write_text(capsys.readouterr().out)
    assert run("fit --config printed.yaml") == 0
    assert run("fit --config runs/fit/version_0/config.yaml") == 0
    first, second = (
        torch.load(folder / "runs" / "fit" / f"version_{version}" / "checkpoints" / "last.ckpt", weights_only=True)
        for version in (0, 1)
    )
    for name, weight in first["state_dict"].items():
        assert torch.equal(weight, second["state_dict"][name]), name


def test_flags_win_over_the_checkpoint(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"fit {SMALL} --trainer.max_epochs 1 --model.dropout 0.25") == 0
    last = "runs/fit/version_0/checkpoints/last.ckpt"
    common = f"{DATA} --trainer.max_epochs 2 --trainer.enable_progress_bar false --trainer.enable_model_summary false"
    assert run(f"fit --ckpt_path {last} {common} --model.label_smoothing 0.125") == 0
    resumed = torch.load(folder / "runs/fit/version_0/checkpoints/last.ckpt", weights_only=True)
    assert resumed["epoch"] == 1
    assert resumed["hyper_parameters"]["dropout"] == 0.25
    assert resumed["hyper_parameters"]["label_smoothing"] == 0.125
    # Another architecture by flag does not load in silence.
    capsys.readouterr()
    assert run(f"fit --ckpt_path {last} {common} --model.backbone_options.depth 2") == 2
    assert "backbone.stages.0.1.conv.weight: not in the checkpoint" in capsys.readouterr().err
    assert run(f"fit --ckpt_path {last} {common} --model.optimizer SGD --model.optimizer.lr 0.1") == 2
    assert "trained with torch.optim.adamw.AdamW, and would go on with torch.optim.sgd.SGD" in capsys.readouterr().err


def test_a_configuration_takes_no_checkpoint_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(f"fit {SMALL} --trainer.max_epochs 1") == 0
    last, config = "runs/fit/version_0/checkpoints/last.ckpt", "runs/fit/version_0/config.yaml"
    assert run(f"fit --ckpt_path={last} --config {config} --trainer.max_epochs 2") == 0
    assert torch.load(folder / last, weights_only=True)["epoch"] == 1
    rows = (folder / "runs/fit/version_0/metrics.csv").read_text().splitlines()[1:]
    assert run(f"test --ckpt_path {last} --config {config}") == 0
    assert [row.split(",")[0] for row in rows] == ["0", "0", "1", "1"]


class Brightness(Task):
    """Another task: predicts how bright an image is."""

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of Task
        super().__init__(**kwargs)
        self.scale = torch.nn.Linear(self.backbone.channels[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.scale(self.backbone(self.normalize(images))[-1].mean((2, 3)))
        return outputs

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        return {"square": (outputs[:, 0] - batch.images.float().mean((1, 2, 3)) / 255).square().mean()}

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs


@pytest.mark.parametrize("origin", ["a classifier of torchvision", "a checkpoint of another task"])
def test_a_file_gives_the_backbone_its_weights(
    origin: str, folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    if origin == "a classifier of torchvision":
        name, mode = "resnet18", "imagenet"
        weights = torchvision.models.resnet18(weights=None).state_dict()
        torch.save(weights, "file.pth")
        left_out = "Left out layers behind the backbone, in whose place this task trains its own: fc (2 tensors)"
    else:
        name, mode = "cnn", "dataset"
        trainer = Trainer(accelerator="cpu", max_epochs=1, logger=False, enable_progress_bar=False)
        data = ShapesDataModule(train_size=8, val_size=4, image_size=(24, 24), batch_size=4)
        trainer.fit(Brightness(normalization="dataset"), datamodule=data)
        trainer.save_checkpoint("file.pth")
        saved = torch.load("file.pth", weights_only=True)["state_dict"]
        weights = {key.removeprefix("backbone."): value for key, value in saved.items()}
        left_out = "scale (2 tensors)"
    command = (
        f"fit {DATA} --model.backbone {name} --model.backbone_weights file.pth --model.freeze all "
        "--trainer.max_epochs 1 --trainer.accelerator cpu --trainer.enable_progress_bar false"
    )
    with caplog.at_level("INFO"):
        assert run(command) == 0, capsys.readouterr().err
    assert left_out in caplog.text
    last = torch.load("runs/fit/version_0/checkpoints/last.ckpt", weights_only=True)
    for key, value in last["state_dict"].items():
        if key.startswith("backbone."):
            assert torch.equal(value, weights[key.removeprefix("backbone.")]), key
    assert last["hyper_parameters"]["backbone_weights"] is None
    assert last["hyper_parameters"]["normalization"] == mode
    # Going on needs the file no more.
    Path("file.pth").unlink()
    more = f"{DATA} --trainer.max_epochs 2 --trainer.enable_progress_bar false --trainer.accelerator cpu"
    assert run(f"fit --ckpt_path runs/fit/version_0/checkpoints/last.ckpt {more}") == 0, capsys.readouterr().err


def test_a_damaged_checkpoint_is_named_whatever_else_is_given(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a run").mkdir()
    damaged = folder / "a run" / "half.ckpt"
    damaged.write_bytes(b"PK half of a checkpoint")
    for extra in ([], ["--model", "ClassificationTask"]):
        assert main(["fit", "--ckpt_path", str(damaged), *SMALL.split(), *extra]) == 2
        assert f"error: '{damaged}' is damaged" in capsys.readouterr().err
    assert not (folder / "runs").exists()


def test_a_class_of_the_users_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "my_tasks_on_the_command_line.py").write_text(
        "from visiontasks import ClassificationTask\n"
        "class MyTask(ClassificationTask):\n"
        "    def __init__(self, factor: float = 2.0, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "        self.factor = factor\n"
        "    def losses(self, outputs, batch):\n"
        "        return {'scaled': self.factor * super().losses(outputs, batch)['cross_entropy']}\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = "my_tasks_on_the_command_line.MyTask"
    assert run(f"fit --model {path} --model.factor 3 {SMALL} --trainer.max_epochs 1") == 0
    last = "runs/fit/version_0/checkpoints/last.ckpt"
    assert torch.load(last, weights_only=True)["hyper_parameters"]["factor"] == 3.0
    assert run("fit --config runs/fit/version_0/config.yaml") == 0
    picture = next(folder.rglob("*.png"))
    assert main(["predict", last, str(picture)]) == 2
    assert main(["predict", last, str(picture), "--task", path]) == 0


def test_precision_follows_the_hardware_and_the_flag(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visiontasks.cli.hardware.has_bf16", lambda accelerator: True)
    cli = TrainingCLI("fit", SMALL.split())
    assert cli.trainer.precision == "bf16-mixed"
    assert (
        "Precision bf16-mixed: to save time, part of the arithmetic has 16 bits (bf16), which"
        in capsys.readouterr().out
    )
    assert cli.model.backbone.stages[1][0].conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert TrainingCLI("fit", [*SMALL.split(), "--trainer.precision", "32-true"]).trainer.precision == "32-true"


@pytest.mark.filterwarnings("ignore:Checkpoint directory:UserWarning")  # Lightning says that it is not empty
def test_without_a_logger_a_second_run_in_the_folder_trains_as_well(folder: Path) -> None:
    for _ in range(2):
        assert run(f"fit {SMALL} --trainer.max_epochs 1 --trainer.logger false") == 0
    assert not (folder / "config.yaml").exists()
    assert list(folder.glob("runs/fit/checkpoints/*.ckpt"))


def test_a_recipe_that_ends_before_its_first_validation_scores_what_it_has(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choices = {"trainer.check_val_every_n_epoch": 5}
    run_recipe("shapes", ClassificationTask, ShapesDataModule, choices, [*SMALL.split(), "--trainer.max_epochs", "1"])
    assert "test/accuracy" in capsys.readouterr().out
    assert (folder / "runs" / "shapes" / "version_0" / "checkpoints" / "last.ckpt").exists()
