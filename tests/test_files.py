import errno
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.small_disk import full_disk
from visiontasks.files import OptionalFiles, reason, replacing, replacing_folder, system_error, write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_atomically(tmp_path / "new" / "a.bin", content)
    write_atomically(tmp_path / "new" / "ä.txt", "é", flush=False)
    assert names(tmp_path / "new") == ["a.bin", "ä.txt"]
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"second"
    assert (tmp_path / "new" / "ä.txt").read_text(encoding="utf-8") == "é"


def stop_midway(file: Path, keep: bool = False) -> None:
    with replacing(file, keep=keep) as part:
        part.write_text("half")
        _ = 1 // 0


def test_an_error_leaves_what_was_there_before(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, "before")
    with pytest.raises(ZeroDivisionError):
        stop_midway(file)
    assert names(tmp_path) == ["a.txt"]
    assert file.read_text() == "before"


def test_a_full_disk_leaves_what_was_there_before(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_atomically(file, "before")
    with pytest.raises(OSError, match=r"File too large: '.*a\.txt'"), full_disk():
        write_atomically(file, bytes(100_000))
    assert names(tmp_path) == ["a.txt"]
    assert file.read_text() == "before"


@pytest.mark.parametrize("exists", [False, True])
def test_a_folder_is_there_as_a_whole_or_as_it_was(exists: bool, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "set"
    if exists:
        folder.mkdir(parents=True)

    def fill() -> None:
        with replacing_folder(folder) as part:
            (part / "a").mkdir()
            (part / "a" / "1.txt").write_text("1")
            assert folder.exists() == exists
            if not failures:
                return
            (part / failures.pop()).read_text()

    failures = ["gone.txt"]
    with pytest.raises(FileNotFoundError) as caught:
        fill()
    assert caught.value.filename == str(folder)
    assert names(tmp_path / "new") == (["set"] if exists else [])
    fill()
    assert (names(tmp_path / "new"), names(folder / "a")) == (["set"], ["1.txt"])
    with pytest.raises(OSError, match="not empty"):
        fill()
    assert names(folder) == ["a"]


def test_the_incomplete_file_can_be_kept(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        stop_midway(tmp_path / "a.csv", keep=True)
    assert names(tmp_path) == ["a.csv.part"]


def test_what_a_killed_process_left_is_removed_by_the_next_write_of_that_file(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from visiontasks.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as part: part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for name in ("a.ckpt", "a.ckpt.b"):
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=False, timeout=60)
        assert done.returncode == -signal.SIGKILL
    (tmp_path / ".a.ckpt.own.part").write_text("of a user")
    left, other = sorted((name for name in names(tmp_path) if "own" not in name), key=len)
    assert (left.startswith(".a.ckpt."), other.startswith(".a.ckpt.b.")) == (True, True)
    write_atomically(tmp_path / "a.ckpt", "whole")
    assert names(tmp_path) == sorted([".a.ckpt.own.part", other, "a.ckpt"])


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("é" * 127), "")
    with pytest.raises(OSError, match="too long") as caught:
        write_atomically(tmp_path / ("é" * 128), "")
    assert caught.value.filename == str(tmp_path / ("é" * 128))


def test_a_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        write_atomically(pipe, b"through")
        assert reader.communicate(timeout=30)[0] == b"through"
    assert names(tmp_path) == ["pipe"]


def full(file: Path) -> None:
    with replacing(file) as part:
        part.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_folder(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_text("a file in place of the folder")
    write_atomically(file, "")


def a_folder(file: Path) -> None:
    file.mkdir()
    (file / "content").touch()
    write_atomically(file, "")


@pytest.mark.parametrize(
    ("fail", "named"),
    [(full, "a.txt"), (no_folder, "folder"), (a_folder, "a.txt")],
    ids=["full", "no folder", "a folder"],
)
def test_an_error_of_the_system_names_the_file(fail: Callable[[Path], None], named: str, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "a.txt"
    file.parent.mkdir()
    with pytest.raises(OSError, match="folder") as caught:
        fail(file)
    assert Path(caught.value.filename).name == named
    assert not list(tmp_path.rglob("*.part"))


def test_the_reason_tells_how_much_room_there_is_on_a_full_disk(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "new" / "a"))
    assert reason(error).startswith("No space left on device (")
    assert reason(error).endswith(" MiB are free)")
    assert reason(OSError(errno.EROFS, "Read-only file system", "a")) == "Read-only file system"


def test_the_error_of_the_system_is_found_behind_others() -> None:
    system = OSError(errno.ENOSPC, "full")
    outer = RuntimeError("unexpected pos")
    outer.__context__ = system
    assert system_error(outer) is system
    assert system_error(RuntimeError("else")) is None


def test_optional_files_warn_once_in_a_folder_and_let_other_errors_pass(tmp_path: Path) -> None:
    pictures = OptionalFiles("pictures of a test")

    def fail(folder: Path) -> None:
        with pictures.in_folder(folder):
            raise OSError(errno.EROFS, "Read-only file system", str(folder / "a.png"))

    with pytest.warns(UserWarning, match=r"The pictures of a test could not be written to '.*run/a.png': Read-only"):
        fail(tmp_path / "run")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fail(tmp_path / "run")
    with pytest.warns(UserWarning, match="other/a.png"):
        fail(tmp_path / "other")
    with pytest.raises(ZeroDivisionError), pictures.in_folder(tmp_path):
        _ = 1 // 0
