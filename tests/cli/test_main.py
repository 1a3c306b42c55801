"""The entry point."""

import subprocess
import sys
from pathlib import Path

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


@pytest.mark.parametrize("words", [[], ["-h"], ["help"], ["--debug"]])
def test_without_a_command_there_is_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("usage: visiontasks COMMAND")
    assert main(["-V"]) == 0
    assert capsys.readouterr().out == f"visiontasks {__version__}\n"


def test_a_command_gets_its_words_and_finds_the_modules_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some_command_of_this_folder.py").write_text(
        "def main(command, words):\n"
        "    print(command, words)\n"
        "    if 'wrong' in words:\n"
        "        raise OSError(30, 'Read-only file system', 'a.png')\n"
        "    return 7\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(COMMANDS, "some", ("some_command_of_this_folder", "Does something."))
    for _ in range(2):
        assert main(["some", "--debug", "--a", "1"]) == 7
    assert sys.path.count(str(tmp_path)) == 1
    assert capsys.readouterr().out == "some ['--a', '1']\n" * 2
    assert main(["some", "wrong"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert main(["some", "wrong", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["visiontasks", "some", "b"])
    assert main() == 7
    assert capsys.readouterr().out == "some ['b']\n"
