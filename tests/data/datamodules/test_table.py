"""How tables and their splits are found."""

import csv
from pathlib import Path

import pytest

from tests.data.datamodules.image_sets import write_table
from visiontasks import CSVDataModule


def test_a_column_of_splits_is_read_in_any_case(tmp_path: Path) -> None:
    file = write_table(tmp_path, boxes=False) / "labels.csv"
    file.write_text(file.read_text().replace("train,", "Train,").replace("valid,", "DEV,").replace("test,", "rest,"))
    splits = CSVDataModule(tmp_path).splits
    assert [splits.origin(split) for split in ("train", "val", "test")] == ["own", "own", "val"]
    assert [len(splits[split].index) for split in ("train", "val")] == [6, 3]
    (problem,) = splits["train"].problems
    assert (problem.kind, problem.value) == ("rows of no split", "3 of split 'rest'")


@pytest.mark.parametrize("names", [("train", "val"), ("Training", "Valid")])
def test_a_table_for_each_split_is_found_in_any_spelling(names: tuple[str, str], tmp_path: Path) -> None:
    file = write_table(tmp_path, boxes=False, split=False) / "labels.csv"
    for name in names:
        (tmp_path / f"{name}.csv").write_text(file.read_text())
    assert CSVDataModule(tmp_path).splits.origin("val") == "own"


def test_autoencoding_needs_no_class(tmp_path: Path) -> None:
    file = write_table(tmp_path, boxes=False) / "labels.csv"
    with file.open(newline="") as opened:
        rows = list(csv.reader(opened))
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows(row[:2] for row in rows)
    data = CSVDataModule(tmp_path, "autoencoding", image_size=(16, 16), num_workers=0)
    data.setup("fit")
    assert data.class_names == ()
    assert next(iter(data.val_dataloader())).labels.tolist() == [-1] * 3


@pytest.mark.filterwarnings("ignore:.*it is left out")
def test_a_table_of_tests_without_classes_is_left_out(tmp_path: Path) -> None:
    file = write_table(tmp_path, boxes=False, split=False) / "labels.csv"
    (tmp_path / "test.csv").write_text("".join(f"{line.split(',')[0]}\n" for line in file.read_text().splitlines()))
    file.rename(tmp_path / "train.csv")
    with pytest.warns(UserWarning, match=r"test\.csv' has no column of classes; it is left out"):
        assert CSVDataModule(tmp_path).splits.origin("test") == "dealt"
    assert CSVDataModule(tmp_path, "autoencoding").splits.origin("test") == "own"
