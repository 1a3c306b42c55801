"""A split's annotations are looked for once, and read no more often than they must be."""

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.data.datamodules.image_sets import write_coco, write_folders, write_masks, write_table, write_voc
from visiontasks import COCODataModule, CSVDataModule, FolderDataModule, MaskFolderDataModule, VOCDataModule
from visiontasks.data.check import check, task_problems
from visiontasks.data.datamodules.splits import SPLITS
from visiontasks.data.datasets.shapes import CLASS_NAMES
from visiontasks.data.lightning_modules import FileDataModule

OPENED: Counter[str] = Counter()
"""How often each of the files in it was opened, by whatever function."""


def count_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and str(arguments[0]) in OPENED:
        OPENED[str(arguments[0])] += 1


sys.addaudithook(count_opening)  # for good: a hook cannot be removed


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the searches for the annotations of each split."""
    counts: Counter[str] = Counter()
    find = FileDataModule._find

    def counting(self: FileDataModule, split: str, names: tuple[str, ...] | None) -> Any:  # noqa: ANN401 - a source
        counts[split] += 1
        return find(self, split, names)

    monkeypatch.setattr(FileDataModule, "_find", counting)
    return counts


@pytest.mark.parametrize(
    ("write", "kind", "options"),
    [
        (write_table, CSVDataModule, {}),
        (write_coco, COCODataModule, {}),
        (write_voc, VOCDataModule, {}),
        (write_masks, MaskFolderDataModule, {"class_names": ("ground", *CLASS_NAMES)}),
        (write_folders, FolderDataModule, {}),
    ],
)
def test_each_split_is_looked_for_once(
    write: Callable[[Path], Path],
    kind: type[FileDataModule],
    options: dict[str, Any],
    searches: Counter[str],
    tmp_path: Path,
) -> None:
    data = kind(root=write(tmp_path), num_workers=0, **options)
    for stage in ("fit", "validate", "test"):
        data.setup(stage)
    task_problems(data, SPLITS)
    assert set(CLASS_NAMES) <= {*data.class_names}
    assert searches == dict.fromkeys(SPLITS, 1)


def test_a_check_reads_a_table_once_to_find_its_splits_and_once_for_each(tmp_path: Path) -> None:
    table = str(write_table(tmp_path) / "labels.csv")
    OPENED[table] = 0
    report = check(CSVDataModule(tmp_path, "detection", num_workers=0), files=False)
    assert report.splits.keys() == set(SPLITS)
    # Of each split, once for what stands in it and once for the digest under which it is kept.
    assert OPENED.pop(table) == 1 + 2 * len(SPLITS)


def test_a_check_reads_a_json_once_for_its_file_names_and_once_for_the_rest(tmp_path: Path) -> None:
    folder = write_coco(tmp_path) / "annotations"
    files = [str(folder / f"instances_{split}.json") for split in ("train", "val")]
    OPENED.update(dict.fromkeys(files, 0))
    report = check(COCODataModule(tmp_path, num_workers=0), files=False)
    assert report.splits.keys() == {"train", "val"}
    assert [OPENED.pop(file) for file in files] == [3, 3]  # and once for the digest under which it is kept
