import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.small_disk import may_mount, on_small_disk
from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.cli import main
from visiontasks.cli.failures import explain_machine
from visiontasks.cli.training import run_recipe
from visiontasks.errors import ArgumentError, DataError

ROOT = Path(__file__).parents[2]
DATA = (
    "--data ShapesDataModule --data.train_size 8 --data.val_size 4 --data.test_size 4 --data.image_size [16,16] "
    "--data.batch_size 4"
)
FIT = (
    f'fit {DATA} --model.backbone_options {{"filters":[4],"depth":1}} --trainer.accelerator cpu '
    "--trainer.enable_progress_bar false --trainer.logger.version 0"
)
RUN = Path("runs", "fit", "version_0")


def call(words: str, folder: Path, prefix: list[str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command line in a process of its own."""
    return subprocess.run(
        [*(prefix or []), sys.executable, "-m", "visiontasks", *words.split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Callable[[Path | str], list[str]]:
    """Let a command find a full disk in a folder."""
    if not may_mount():
        pytest.skip("needs the right to mount a disk")

    def begin(folder: Path | str) -> list[str]:
        (tmp_path / folder).mkdir(parents=True)
        return on_small_disk(tmp_path / folder, "64k", filled=True)

    return begin


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Train for a moment; return the checkpoint."""
    monkeypatch.chdir(tmp_path)
    assert main([*FIT.split(), "--trainer.max_epochs", "1"]) == 0
    return str(RUN / "checkpoints" / "last.ckpt")


def test_a_full_disk_at_a_picture_is_one_warning_and_training_goes_on(
    small_disk: Callable[[Path | str], list[str]], tmp_path: Path
) -> None:
    done = call(f"{FIT} --trainer.max_epochs 3", tmp_path, small_disk(RUN / "predictions"))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("warning: The pictures of ") == 1
    warning = "The pictures of predictions could not be written to 'runs/fit/version_0/predictions/"
    assert warning in done.stderr
    assert "': No space left on device (0.0 of 0 MiB are free). The run goes on" in done.stderr
    assert done.stdout.splitlines()[-1] == "filler"  # and no empty picture
    assert "Trained 3 epochs" in done.stdout
    assert len(list((tmp_path / RUN / "confusion").glob("*.png"))) == 3


def test_a_full_disk_at_a_checkpoint_is_one_message(
    small_disk: Callable[[Path | str], list[str]], tmp_path: Path
) -> None:
    done = call(f"{FIT} --trainer.max_epochs 1", tmp_path, small_disk(RUN / "checkpoints"))
    assert done.returncode == 2, done.stderr
    (message,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert message.startswith("error: The checkpoint '")
    assert ".ckpt' could not be saved: No space left on device (0.0 of 0 MiB are free). It takes about 0.0 " in message
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1] == "filler"


@pytest.mark.unchecked
@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_a_full_disk_at_an_export_is_one_message(
    suffix: str, small_disk: Callable[[Path | str], list[str]], checkpoint: str, tmp_path: Path
) -> None:
    done = call(f"export {checkpoint} -o full/a.{suffix}", tmp_path, small_disk("full"))
    assert done.returncode == 2, done.stderr
    assert f"error: 'full/a.{suffix}': No space left on device (0.0 of 0 MiB are free). Make room there." in done.stderr
    assert "Traceback" not in done.stderr


def test_results_that_cannot_be_written_are_one_message_and_debug_shows_the_traceback(
    small_disk: Callable[[Path | str], list[str]], checkpoint: str, tmp_path: Path
) -> None:
    (picture,) = (tmp_path / RUN / "predictions").glob("*.png")
    done = call(f"predict {checkpoint} {picture} -o full/a.csv --debug", tmp_path, small_disk("full"))
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback") or "\nTraceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: 'full/a.csv': No space left on device (0.0 of 0 MiB")


@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_a_test_prints_its_figures_whatever_cannot_be_written(
    checkpoint: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_folder = tmp_path / "runs" / "test" / "version_0"
    for name in ("predictions", "confusion", "worst", "per_class"):
        run_folder.mkdir(parents=True, exist_ok=True)
        (run_folder / name).write_text("a file in place of the folder")
    (run_folder / "report.html").mkdir()
    words = f"test --ckpt_path {checkpoint} {DATA} --trainer.logger.version 0 --trainer.enable_progress_bar false"
    with pytest.warns(UserWarning, match="could not be written") as warned:
        assert main(words.split()) == 0
    pictures = [f"pictures of {name}" for name in ("predictions", "confusion", "worst")]
    messages = [str(one.message) for one in warned if "could not be written" in str(one.message)]
    assert sorted(message.split("The ")[1].partition(" could")[0] for message in messages) == sorted(
        [*pictures, "tables of the classes", "reports"]
    )
    assert capfd.readouterr().out.count("test/accuracy") == 1


def test_figures_are_printed_before_the_report_is_made(
    checkpoint: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("visiontasks.callbacks.report.page", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        main(f"test --ckpt_path {checkpoint} {DATA} --trainer.enable_progress_bar false".split())
    assert "test/accuracy" in capfd.readouterr().out


WORKER = "Caught {} in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File ...\n{}"
STREAM = "[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598"
CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.15 GiB of which 1.50 GiB is "
    "free. Process 12 has 77 GiB memory in use. Of the allocated memory 76 GiB is allocated by PyTorch"
)
EXPLAINED = [
    (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "'/a/b': Permission denied. Let this user"),
    (OSError(errno.EROFS, "Read-only file system", "/a/b"), "'/a/b': Read-only file system. Choose another place"),
    (OSError(errno.EMFILE, "Too many open files", "/a/b"), "'/a/b': Too many open files. Raise the limit with 'ulimit"),
    (RuntimeError("Too many open files. Communication with the workers"), "Too many open files. Raise the limit"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "Out of memory"),
    (MemoryError(), "Out of memory. Use a smaller batch_size"),
    (MemoryError("Unable to allocate 7.00 TiB"), "Out of memory (Unable to allocate 7.00 TiB)."),
    (torch.OutOfMemoryError(CUDA), "The device is out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"),
    (RuntimeError("CUDA error: out of memory\nCUDA kernel errors"), "The device is out of memory. Use a smaller"),
    (RuntimeError(STREAM), "torch could not write a file, as on a full disk. Make room there."),
    (
        PermissionError(WORKER.format("...", "PermissionError: [Errno 13] Permission denied: '/a b/c.png'")),
        "'/a b/c.png': Permission denied.",
    ),
    (
        RuntimeError(WORKER.format("...", "numpy._core._exceptions._ArrayMemoryError: Unable to get 7 TiB")),
        "Out of memory (Unable to get 7 TiB).",
    ),
]


@pytest.mark.parametrize(("error", "expected"), EXPLAINED, ids=lambda value: str(value)[:40])
def test_errors_of_the_machine_are_explained(error: BaseException, expected: str) -> None:
    explained = explain_machine(error)
    assert explained is not None
    assert explained.startswith(expected)
    assert "\n" not in explained


def test_torchs_own_errors_of_memory_are_explained() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.zeros(10**14)
    explained = explain_machine(caught.value)
    assert explained is not None
    assert explained.startswith("Out of memory: 363.8 TiB were asked for at once. Use a smaller batch_size")


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory"), FileNotFoundError("x")])
def test_other_errors_are_not_explained(error: BaseException) -> None:
    assert explain_machine(error) is None


@pytest.mark.parametrize("place", [0, 1, 2, None])
def test_debug_shows_the_traceback_in_any_place(place: int | None, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["predict", "gone.ckpt", "gone.png"]
    if place is not None:
        words.insert(place, "--debug")
    assert main(words) == 2
    printed = capsys.readouterr().err
    assert ("Traceback" in printed) == (place is not None)
    assert printed.splitlines()[-1].startswith("error: There is no checkpoint 'gone.ckpt'")


class Failing(ShapesDataModule):
    """Fails as it is told by its seed."""

    def setup(self, stage: str) -> None:
        errors = {1: ArgumentError("of the user"), 2: KeyboardInterrupt(), 3: OSError(errno.EROFS, "Read-only", "a")}
        raise errors.get(self.seed, DataError("else"))


@pytest.mark.parametrize(("seed", "code", "printed"), [(1, 2, "error: of the user"), (2, 130, "interrupted")])
@pytest.mark.parametrize("debug", [False, True])
def test_commands_and_recipes_end_alike(
    seed: int,
    code: int,
    printed: str,
    debug: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*(["--debug"] if debug else []), "--data.seed", str(seed)]
    assert main(["check", "--data", f"{__name__}.Failing", *words]) == code
    one = capsys.readouterr().err
    monkeypatch.setattr("visiontasks.cli.training.TrainingCLI.run", lambda cli: cli.datamodule.setup("fit"))
    with pytest.raises(SystemExit) as ended:
        run_recipe("small", ClassificationTask, Failing, {"trainer.accelerator": "cpu"}, words)
    assert ended.value.code == code
    other = capsys.readouterr().err
    for text in (one, other):
        assert text.splitlines()[-1] == printed
        assert ("Traceback" in text) == (debug and code == 2)


SLOW = """
import time
from visiontasks import ShapesDataModule

class Slow(ShapesDataModule):
    def setup(self, stage):
        print("begun", flush=True)
        time.sleep(100)
"""


def test_an_interrupted_command_ends_with_130_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "slow_data.py").write_text(SLOW)
    with subprocess.Popen(
        [sys.executable, "-m", "visiontasks", "check", "--data", "slow_data.Slow"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(5):  # Python loses one that arrives while it frees an object
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                _, printed = process.communicate(timeout=15)
                break
    assert process.returncode == 130, printed
    assert printed == "interrupted\n"


@pytest.mark.slow
def test_an_interrupted_search_for_proposals_ends_with_130_and_one_line(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    words = "propose --data ShapesDataModule --data.task detection --data.train_size 5000 --output a.npy --mode quality"
    with subprocess.Popen(
        [sys.executable, "-m", "visiontasks", *words.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert "to do" in process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(5)  # while the other processes start or search
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, printed = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed.splitlines() == ["interrupted"]
