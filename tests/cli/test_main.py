"""The entry point."""

import subprocess
import sys

import pytest

from visiontasks import __version__
from visiontasks.cli import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for command, (_, text) in COMMANDS.items():
        assert command in printed
        assert text in printed


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"visiontasks {__version__}\n"


def test_module_runs_and_gives_its_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "visiontasks", "nonsense"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "there is no command 'nonsense'" in done.stderr
