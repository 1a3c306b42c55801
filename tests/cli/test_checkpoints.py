"""Each command reads a checkpoint once, and takes a run folder for one."""

import re
import shutil
import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image
from torch import nn

from tests.prediction.small_tasks import save_task
from visiontasks import ClassificationTask
from visiontasks.backbones import WrappedBackbone
from visiontasks.cli import main
from visiontasks.tasks import reading

DATA = "--data.train_size 8 --data.val_size 4 --data.test_size 4 --data.batch_size 4 --data.image_size [24,24]"
QUIET = "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
SMALL = "--model.backbone_options.filters [4,8] --model.backbone_options.depth 1"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that was worked in: a run of two epochs, and an image."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(f"fit {DATA} {SMALL} {QUIET} --trainer.max_epochs 2 --shown []".split()) == 0
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(folder / "image.png")
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the run, below the folder that is worked in."""
    shutil.copytree(trained, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Path("runs/fit/version_0")


def best(run: Path) -> str:
    (file,) = (run / "checkpoints").glob("epoch*.ckpt")
    return file.name


@pytest.mark.parametrize(
    "command",
    [
        f"validate --ckpt_path RUN {DATA} {QUIET}",
        f"test --ckpt_path=RUN {DATA} {QUIET}",
        f"test --ckpt_path runs/fit {DATA} {QUIET}",
        "predict RUN image.png --device cpu",
        "predict CHECKPOINT image.png --device cpu",
        f"report RUN {QUIET}",
        f"report RUN --ckpt_path CHECKPOINT {QUIET}",
    ],
)
def test_a_command_reads_the_best_checkpoint_of_a_run_once(command: str, run: Path, reads: list[str]) -> None:
    name = best(run)
    words = command.replace("RUN", str(run)).replace("CHECKPOINT", str(run / "checkpoints" / name)).split()
    assert main(words) == 0
    assert reads == [name]
    assert not reading._KEPT


def test_training_goes_on_from_the_newest_of_a_run_read_once(run: Path, reads: list[str]) -> None:
    assert main(f"fit --ckpt_path {run} {DATA} {QUIET} --trainer.max_epochs 3 --shown []".split()) == 0
    assert reads == ["last.ckpt"]
    assert not reading._KEPT
    epochs = {line.split(",")[0] for line in (run / "metrics.csv").read_text().splitlines()}
    assert {"0", "1", "2"} <= epochs


def test_the_curves_of_a_run_are_in_the_report_of_its_test(run: Path) -> None:
    assert main(f"test --ckpt_path {run} {DATA} {QUIET}".split()) == 0
    page = Path("runs/test/version_0/report.html").read_text(encoding="utf-8")
    assert page.count("<svg") >= 4


def test_a_run_without_a_checkpoint_is_an_error(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (run / "checkpoints").iterdir():
        file.unlink()
    (run / "checkpoints").rmdir()
    for command in (f"test --ckpt_path {run} {DATA}", f"fit --ckpt_path {run} {DATA}", f"predict {run} image.png"):
        assert main(command.split()) == 2
        assert f"There is no checkpoint in '{run}': it holds config.yaml, " in capsys.readouterr().err
    assert not Path("runs/test").exists()


def test_a_remote_checkpoint_is_tested(run: Path) -> None:
    content = (run / "checkpoints" / best(run)).read_bytes()
    fsspec.filesystem("memory").pipe("/cli/a.ckpt", content)
    words = f"test --ckpt_path memory://cli/a.ckpt {DATA} {QUIET}".split()
    assert main(words) == 2  # it lies in no run folder, which would name the data
    assert main([*words, "--data", "ShapesDataModule"]) == 0
    assert main(["predict", "memory://cli/a.ckpt", "image.png", "--device", "cpu"]) == 0


def test_what_a_training_of_a_class_of_ones_own_prints_can_be_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("my_wide_task.py").write_text(
        "from torch import nn\nfrom visiontasks import ClassificationTask\n\n\nclass WideTask(ClassificationTask):\n"
        "    def __init__(self, num_classes, width=64, **kwargs):\n        super().__init__(num_classes, **kwargs)\n"
        "        self.head.linear = nn.Sequential(nn.Linear(8, width), nn.Linear(width, num_classes))\n"
    )
    model = f"--model my_wide_task.WideTask --model.width 5 {SMALL}"
    assert main(f"fit {model} {DATA} {QUIET} --trainer.max_epochs 1 --shown []".split()) == 0
    predict, test = re.findall(r": visiontasks (.*my_wide_task.*)", capsys.readouterr().out)
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save("image.png")
    assert main(predict.replace("IMAGES_OR_FOLDER", "image.png").split()) == 0
    # The width and the filters, which are not those of the class, come from the checkpoint.
    assert main([*test.split(), *QUIET.split(), "--shown", "[]", "--report", "false"]) == 0
    assert main([*test.split(), *QUIET.split(), "--model.width", "6"]) == 2
    assert "[5, 8] in the checkpoint, [6, 8]" in capsys.readouterr().err
    assert main([*test.split()[:-2], *QUIET.split()]) == 2
    assert "such as my_module.WideTask (--task; in validate and test --model)" in capsys.readouterr().err


def test_a_checkpoint_that_needs_an_instance_asks_for_it_in_a_test_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    backbone = WrappedBackbone(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)), ["0"])
    save_task(ClassificationTask(4, backbone=backbone, image_size=(24, 24)), Path("own.ckpt"))
    assert main(f"test --ckpt_path own.ckpt --data ShapesDataModule {DATA} {QUIET}".split()) == 2
    assert "or --config FILE, the configuration of its training" in capsys.readouterr().err
