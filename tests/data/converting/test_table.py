import csv
from pathlib import Path

import numpy as np
import pytest

from tests.data.converting.sources import write
from tests.data.datamodules.image_sets import write_folders
from visiontasks import CSVDataModule, FolderDataModule
from visiontasks.data.converting.convert import convert
from visiontasks.errors import ArgumentError


def test_a_table_has_rows_of_objects_and_of_empty_images(source: Path) -> None:
    folder, done = write(source, "csv")
    assert done.omitted["objects that are ignored (crowd, difficult)"] == 2
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "train"]
    assert [row["class"] for row in rows] == ["car", "toothbrush", "person", "toothbrush", "car", ""]
    assert (rows[0]["xmin"], rows[0]["xmax"]) == ("10.01", repr(10.01 + 30.5))
    assert (rows[-1]["file"], rows[-1]["xmin"], rows[-1]["height"]) == ("empty.jpg", "", "20")


def test_classes_alone_are_a_table(tmp_path: Path) -> None:
    data = FolderDataModule(write_folders(tmp_path / "set", 8))
    done = convert(data, "csv", tmp_path / "csv")
    assert not done.omitted
    found = CSVDataModule(tmp_path / "csv", class_names=data.class_names)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(found.splits[split].index.labels, data.splits[split].index.labels)
    with pytest.raises(ArgumentError, match="has no boxes, which format 'voc' is made of"):
        convert(data, "voc", tmp_path / "voc")
