import re
from pathlib import Path

import numpy as np
import pytest

from tests.data.datamodules.image_sets import write_coco
from visiontasks.cli import main
from visiontasks.data.proposals import ProposalFile

SHAPES = ["--data", "ShapesDataModule", "--data.task", "detection", "--data.train_size", "3", "--data.val_size", "2"]


def propose(*words: str) -> int:
    return main(["propose", *words, "--workers", "1", "--mode", "single"])


def test_shapes_get_proposals_which_fit_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "shapes.npy")
    more = ["--data.test_size", "1", "--output", path, "--count", "50"]
    assert propose(*SHAPES, *more) == 0
    assert "6 images, 6 to do" in capsys.readouterr().out
    assert propose(*SHAPES, *more) == 0
    printed = capsys.readouterr().out
    assert "6 images, 0 to do" in printed
    assert "train: recall_50_100 " in printed
    file = ProposalFile(path)
    assert file.images == ["train/0", "train/1", "train/2", "val/0", "val/1", "test/0"]
    assert all(len(file.boxes(row)) > 3 for row in range(6))


def test_files_get_proposals(tmp_path: Path) -> None:
    write_coco(tmp_path)
    words = ["--data", "COCODataModule", "--data.root", str(tmp_path), "--data.task", "detection"]
    assert propose(*words, "--output", str(tmp_path / "found.npy"), "--splits", '["train"]') == 0
    file = ProposalFile(tmp_path / "found.npy")
    assert not file.missing()
    assert not np.isnan(file.array).any()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*SHAPES, "--splits", '["training"]'], r"splits is \['training'\]; expected some of train, val, test"),
        (["--data", "ShapesDataModule"], "yields classification; expected detection"),
    ],
)
def test_what_cannot_work_is_an_error(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(*words, "--output", str(tmp_path / "x.npy")) == 2

    assert re.search(message, capsys.readouterr().err)
