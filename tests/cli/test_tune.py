"""The search for a learning rate and a batch size on the command line."""

import re
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from lightning.pytorch import Trainer

from visiontasks.cli import main, tune
from visiontasks.cli.training import TrainingCLI
from visiontasks.cli.tune import TuningCLI, suggest_rate

SMALL = (
    "--data.train_size 64 --data.val_size 8 --data.batch_size 4 --data.image_size [24,24] "
    "--model.backbone_options.filters [8,8,8] --model.backbone_options.depth 1 "
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
DETECTION = "--model DetectionTask --data.task detection --model.fpn_width 8 --model.head_width 8 "
TRIED = "fits; larger ones were not tried, because "


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own, with one for temporary files in it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.mark.parametrize("task", ["", pytest.param(DETECTION, marks=pytest.mark.slow)])
def test_what_is_found_is_printed_as_flags_of_fit(task: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = f"{task}{SMALL} --model.optimizer SGD --model.optimizer.lr 1e-5 --model.optimizer.momentum 0.9"
    assert main(["tune", *flags.split(), "--find", "both", "--max_batch_size", "16", "--steps", "60"]) == 0
    printed = capsys.readouterr().out
    assert "Batch size: 16 fits; larger ones were not tried, because of --max_batch_size 16; so far it is 4." in printed
    found = re.search(r"^Suggested: --data.batch_size 16 --model.optimizer.lr (\S+)$", printed, re.MULTILINE)
    assert found is not None, printed
    assert 1e-5 < float(found[1]) < 1
    assert [path.name for path in folder.rglob("*")] == ["temporary"], "nothing is left"
    suggested = found[0].partition(": ")[2]
    cli = TrainingCLI("fit", [*flags.split(), *suggested.split(), "--trainer.max_epochs", "1", "--shown", "[]"])
    cli.run()
    assert cli.trainer.optimizers[0].param_groups[0]["initial_lr"] == float(found[1])
    assert cli.trainer.global_step == 4


def test_the_default_optimiser_takes_the_suggestion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *SMALL.split(), "--steps", "40", "--max_lr", "0.1"]) == 0
    found = re.search(r"^Suggested: --model.optimizer.lr (\S+)$", capsys.readouterr().out, re.MULTILINE)
    assert found is not None
    cli = TrainingCLI("fit", [*SMALL.split(), "--model.optimizer.lr", found[1]])
    assert cli.model.lr == float(found[1])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--ckpt_path some.ckpt --model ClassificationTask", "takes no --ckpt_path"),
        ("--min_lr 1 --max_lr 0.1", "expected 0 < min_lr < max_lr"),
        ("--steps 5", "--steps 5 .* at least 20 steps"),
        ("--max_batch_size 0", "a size of at least 1"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    flags: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", *SMALL.split(), *flags.split()]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_loss_that_does_not_fall_gives_no_suggestion(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", *SMALL.split(), "--min_lr", "1e-20", "--max_lr", "1e-19", "--steps", "20"]) == 1
    assert "No learning rate is suggested: the loss did not fall." in capsys.readouterr().out
    assert suggest_rate([1.0] * 30, [float(step) for step in range(30)]) is None
    assert suggest_rate([1.0] * 30, [float("nan")] * 30) is None


class Searcher:
    """Stands in for Lightning's Tuner: notes what it is asked, and finds one batch size."""

    found: int | None = None
    asked: ClassVar[list[Any]] = []

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def lr_find(self, model: Any, **options: Any) -> Any:  # noqa: ANN401 - as Lightning has it
        self.asked.append((model, options))
        rates = [10.0**power for power in range(-20, 10)]
        losses = [2 + step / 99 for step in range(10)] + [1.9 - step / 12 for step in range(12)] + [5.0] * 8
        means, mean = [], 0.0
        for step, loss in enumerate(losses):
            mean = 0.98 * mean + 0.02 * loss
            means.append(mean / (1 - 0.98 ** (step + 2)))
        return SimpleNamespace(results={"lr": rates, "loss": means})

    def scale_batch_size(self, model: Any, **options: Any) -> int | None:  # noqa: ANN401 - as Lightning has it
        self.asked.append((model, options))
        return self.found


@pytest.fixture
def searcher(folder: Path, monkeypatch: pytest.MonkeyPatch) -> type[Searcher]:
    monkeypatch.setattr(tune, "Tuner", Searcher)
    Searcher.asked.clear()
    return Searcher


def test_the_search_has_the_range_and_the_steps_of_the_flags(
    searcher: type[Searcher], capsys: pytest.CaptureFixture[str]
) -> None:
    cli = TuningCLI([*SMALL.split(), "--min_lr", "1e-20", "--max_lr", "1e9", "--steps", "30"], "x")
    assert cli.search() == 0
    ((model, options),) = searcher.asked
    assert model is cli.model
    assert options.pop("datamodule") is cli.datamodule
    assert options == {"min_lr": 1e-20, "max_lr": 1e9, "num_training": 30, "update_attr": False}
    assert capsys.readouterr().out.endswith(
        "Learning rate: 30 steps from 1e-20 to 1e+09; so far it is 0.001.\nSuggested: --model.optimizer.lr 1e-05\n"
    )


@pytest.mark.parametrize(
    ("most", "found", "tried", "expected"),
    [
        (8192, 64, 64, f"32 {TRIED}a batch holds at most half of the 64 images"),
        (20, 32, 32, f"16 {TRIED}of --max_batch_size 20"),  # the next power of two
        (8192, 8, 64, "8 is the largest that fits into memory"),
        (8192, None, 64, "4 is the largest that fits into memory"),
        (1, 2, 2, f"1 {TRIED}of --max_batch_size 1"),
    ],
)
def test_batch_sizes_are_tried_up_to_half_of_the_images(
    most: int,
    found: int | None,
    tried: int,
    expected: str,
    searcher: type[Searcher],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searcher, "found", found)
    cli = TuningCLI([*SMALL.split(), "--find", "batch_size", "--max_batch_size", str(most)], "x")
    assert cli.search() == 0
    ((_, options),) = searcher.asked
    assert (options["init_val"], options["max_val"]) == (1, tried)
    size = expected.partition(" ")[0]
    assert cli.datamodule.batch_size == int(size)
    assert capsys.readouterr().out.endswith(
        f"Batch size: {expected}; so far it is 4.\nSuggested: --data.batch_size {size}\n"
    )
