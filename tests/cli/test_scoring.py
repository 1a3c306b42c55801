"""A checkpoint is scored by one command on the data of its run, and on others."""

from pathlib import Path

import pytest

from tests.data.datamodules.image_sets import write_folders
from visiontasks.cli import main
from visiontasks.cli.split_files import files_of_split
from visiontasks.errors import ArgumentError

QUIET = "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
SMALL = "--model.backbone_options.filters [4] --model.backbone_options.depth 1 --trainer.precision 32-true --shown []"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on data without splits, new data with a subset of the classes, and a checkpoint alone."""
    folder = tmp_path_factory.mktemp("scored")
    write_folders(folder / "a", count=20, splits=("half",))
    write_folders(folder / "b", count=4, splits=("new",))
    for path in [*(folder / "b" / "new" / "circle").iterdir(), folder / "b" / "new" / "circle"]:
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        data = "--data FolderDataModule --data.root a/half --data.image_size [16,16] --data.num_workers 0"
        assert main(f"fit {data} {SMALL} {QUIET} --trainer.max_epochs 1".split()) == 0
    best = next((folder / "runs/fit/version_0/checkpoints").glob("epoch*.ckpt"))
    (folder / "alone.ckpt").write_bytes(best.read_bytes())
    return folder


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("test --ckpt_path runs/fit", "2 images of FolderDataModule 'a/half', those drawn for test at random"),
        ("validate --ckpt_path runs/fit", "2 images of FolderDataModule 'a/half', those drawn for val at random"),
        ("test --ckpt_path runs/fit --split all", "20 images of FolderDataModule 'a/half', all of them, which have"),
        ("test --ckpt_path runs/fit --data.root b/new", "3 images of FolderDataModule 'b/new', all of them"),
        ("validate --ckpt_path alone.ckpt --data FolderDataModule --data.root b", "3 images of FolderDataModule 'b'"),
        (
            "test --ckpt_path alone.ckpt --data FolderDataModule --data.root a/half",
            "2 images of FolderDataModule 'a/half', those drawn",
        ),
    ],
)
def test_one_line_says_what_is_scored(
    words: str, said: str, trained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(trained)
    if words.endswith("root b"):
        (trained / "b" / "new").rename(trained / "b" / "test")
    with caplog.at_level("INFO"):
        assert main([*words.split(), *QUIET.split(), "--shown", "[]", "--report", "false"]) == 0
    if words.endswith("root b"):
        (trained / "b" / "test").rename(trained / "b" / "new")
    assert [message for message in caplog.messages if message.startswith(f"Scored: {said}")]


def test_the_data_of_a_checkpoint_without_a_run_have_to_be_named(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    assert main(["test", "--ckpt_path", "alone.ckpt"]) == 2
    assert "'alone.ckpt' lies in no run folder" in capsys.readouterr().err


def test_predict_takes_a_split(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(trained)
    others = "--data FolderDataModule --data.root b/new"
    for words in ("runs/fit --split val -o val.csv", f"alone.ckpt {others} -o new.csv"):
        assert main(["predict", *words.split(), "--device", "cpu"]) == 0
    rows = [Path(name).read_text().splitlines()[1:] for name in ("val.csv", "new.csv")]
    assert [len(each) for each in rows] == [2, 3]
    files = files_of_split("predict", [], "val", "runs/fit")
    assert {Path(row.split(",")[0]).name for row in rows[0]} == {file.name for file in files}
    with pytest.raises(SystemExit):
        main(["predict", "runs/fit", "a", "--split", "val"])
    with pytest.raises(ArgumentError, match="has its images in memory"):
        files_of_split("predict", ["--data=ShapesDataModule"], "val", "runs/fit")
