"""Bad inputs through ``visiontasks check`` and through ``fit``, as a user would meet them."""

import shutil
from pathlib import Path

import pytest

from tests.data.any_task import AnyTask
from tests.data.bad_annotations import COCO, TABLE, VOC
from tests.data.bad_files import FOLDERS, IMAGES, MASKS
from tests.data.damages import FORMS, Case
from tests.data.datamodules.image_sets import write_coco, write_folders, write_masks, write_table, write_voc
from visiontasks.cli import main

FIT = (
    "--data.num_workers 0 --data.batch_size 8 --data.augmentation none --model.backbone_options.filters [4] "
    "--model.backbone_options.depth 1 --trainer.fast_dev_run true --trainer.accelerator cpu "
    "--trainer.enable_progress_bar false --trainer.enable_model_summary false --trainer.logger false"
)


GROUPS = {"coco": COCO, "image": IMAGES, "voc": VOC, "folders": FOLDERS, "mask": MASKS, "table": TABLE}
CASES = {f"{group}: {name}": case for group, cases in GROUPS.items() for name, case in cases.items()}


def write_voc_folder(root: Path) -> Path:
    root.mkdir()
    return write_voc(root, 8)


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a good data set of each form."""
    folder = tmp_path_factory.mktemp("good")
    write_coco(folder / "coco", 4)
    write_voc_folder(folder / "voc")
    write_folders(folder / "folders", 4)
    write_masks(folder / "masks", 4)
    write_table(folder / "table", 4)
    return folder


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_check_finds_it_and_fit_trains_or_refuses(
    case: Case, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))
    shutil.copytree(good / case.form, tmp_path / case.form)
    case.damage(tmp_path / case.form)
    flags = [*FORMS[case.form].split(), "--data.root", case.form, *case.flags.split()]
    assert main(["check", *flags, "--data.num_workers", "0"]) == case.code
    printed = capsys.readouterr().out
    assert case.found in printed
    assert ("0 errors, 0 warnings." in printed) == (case.code == 0)
    task = [] if case.form == "folders" else ["--model", "tests.data.any_task.AnyTask"]
    AnyTask.seen.clear()
    code = main(["fit", *flags, *task, *FIT.split()])
    output = capsys.readouterr()
    if case.refused:
        assert code == 2
        assert output.err.count("error: ") == 1
        assert case.refused in output.err
        assert "Traceback" not in output.err
        return
    assert code == 0, output.err
    assert case.counted in output.out
    assert not task or case.holds(AnyTask.seen[0])
