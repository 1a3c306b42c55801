"""Bad inputs through ``visiontasks check`` and through ``fit``, as a user would meet them."""

import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from lightning.pytorch import Trainer
from PIL import Image

from tests.data.any_task import AnyTask
from tests.data.bad_annotations import COCO, TABLE, VOC
from tests.data.bad_files import FOLDERS, IMAGES, MASKS
from tests.data.bad_labels import YOLO
from tests.data.damages import FORMS, Case, cut
from tests.data.datamodules.image_sets import write_coco, write_folders, write_masks, write_table, write_voc, write_yolo
from tests.small_disk import may_mount, on_small_disk
from visiontasks import ClassificationTask, FolderDataModule
from visiontasks.cli import main
from visiontasks.data.augmentation.transforms import Augmentation
from visiontasks.errors import ArgumentError

FIT = (
    "--data.num_workers 0 --data.batch_size 8 --data.augmentation none --model.backbone_options.filters [4] "
    "--model.backbone_options.depth 1 --trainer.fast_dev_run true --trainer.accelerator cpu "
    "--trainer.enable_progress_bar false --trainer.enable_model_summary false --trainer.logger false"
)


GROUPS = {"coco": COCO, "image": IMAGES, "voc": VOC, "folders": FOLDERS, "mask": MASKS, "table": TABLE, "yolo": YOLO}
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
    shown = write_masks(folder / "masks", 4) / "masks" / "train" / "3.png"
    values = np.array(Image.open(shown))
    values[0, :5] = range(5)  # every class occurs
    Image.fromarray(values).save(shown)
    write_table(folder / "table", 4)
    write_yolo(folder / "yolo", 8)
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


FOLDERS_BY_WORKERS = ["--data", "FolderDataModule", "--data.root", "folders", "--data.image_size", "[512,512]"]


def test_an_error_in_a_worker_is_one_message(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(good / "folders", tmp_path / "folders")
    cut("train/circle/0.png", 0.5)(tmp_path / "folders")
    assert main(["fit", *FOLDERS_BY_WORKERS, *FIT.split(), "--data.num_workers", "2"]) == 2
    printed = capsys.readouterr().err
    assert printed.endswith("train/circle/0.png' could not be read as an image: image file is truncated\n")
    assert printed.splitlines()[-1].startswith("error: '")
    assert "Traceback" not in printed


@pytest.fixture
def spawning() -> Iterator[None]:
    """Start workers as other systems than Linux do."""
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.mark.usefixtures("spawning")
@pytest.mark.filterwarnings("ignore:Using lambda is incompatible with multiprocessing")
def test_a_lambda_for_spawned_workers_is_refused_with_a_hint(good: Path) -> None:
    augmentation = Augmentation([A.Lambda(image=lambda image, **_: image, p=1)])
    data = FolderDataModule(good / "folders", image_size=(24, 24), num_workers=2, augmentation=augmentation)
    task = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1})
    trainer = Trainer(accelerator="cpu", fast_dev_run=True, enable_progress_bar=False, enable_model_summary=False)
    with pytest.raises(ArgumentError, match=r"cannot be sent to worker processes: .* not as lambdas .* num_workers=0"):
        trainer.fit(task, datamodule=data)


def test_a_small_shared_memory_disk_is_an_error_with_the_remedy(good: Path, tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("needs the right to mount a small /dev/shm")
    command = [sys.executable, "-m", "visiontasks", "fit", *FOLDERS_BY_WORKERS, *FIT.split(), "--data.num_workers", "2"]
    shutil.copytree(good / "folders", tmp_path / "folders")
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [*on_small_disk("/dev/shm"), *command],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert run.returncode == 2, run.stderr
    assert "error: A worker could not hand over its batch by shared memory" in run.stderr
    assert "of 1 MiB free. Enlarge it (docker run --shm-size=8g), or use a smaller" in run.stderr
