"""The limit of waiting reaches the strategy that is chosen by name."""

from datetime import timedelta
from pathlib import Path

import pytest

from visiontasks.cli import main
from visiontasks.cli.training import TrainingCLI

TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.logger", "false"]


@pytest.mark.parametrize(
    ("flags", "seconds"),
    [
        ([], 1800),
        (["--trainer.strategy", "ddp", "--collective_timeout", "7"], 7),
        (["--trainer.strategy", "ddp_find_unused_parameters_true", "--collective_timeout", "7"], 7),
        # One that is created with arguments keeps its own.
        (
            ["--trainer.strategy", "DDPStrategy", "--trainer.strategy.timeout", "0:00:09", "--collective_timeout", "7"],
            9,
        ),
    ],
)
def test_the_strategy_has_the_time_out(
    flags: list[str], seconds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    strategy = TrainingCLI("fit", [*TWO, *flags]).trainer.strategy
    assert getattr(strategy, "_timeout") == timedelta(seconds=seconds)  # noqa: B009 - of some strategies only


def test_no_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *TWO, "--collective_timeout", "0"]) == 2
    assert "--collective_timeout is 0; expected seconds, more than 0." in capsys.readouterr().err
