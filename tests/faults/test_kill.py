"""A training that is killed anywhere, and started again by the same command line, ends like an undisturbed one."""

from pathlib import Path

import pytest

from tests.faults.compare import assert_equal, rows_of, state_of
from tests.faults.launch import run, run_two

CLASSIFICATION = (
    "fit --data.train_size 22 --data.val_size 6 --data.test_size 4 --data.batch_size 4 --data.image_size [20,20] "
    "--data.augmentation default --model.backbone_options.filters [4,8] --model.backbone_options.depth 1 "
    "--model.dropout 0.3 --model.mixup 0.4 --trainer.max_epochs 3"
)
DETECTION = (
    "fit --data.task detection --data.train_size 10 --data.val_size 4 --data.test_size 4 --data.batch_size 2 "
    "--data.image_size [64,64] --data.augmentation default --model DetectionTask "
    "--model.backbone_options.filters [4,8,8,8] --model.backbone_options.depth 1 --trainer.max_epochs 3"
)
COMMON = (
    " --trainer.accelerator cpu --trainer.enable_model_summary false "
    "--trainer.precision 32-true --trainer.log_every_n_steps 1 --shown [] --ckpt_path last"
)


def check(command: str, faults: list[str], folder: Path, processes: int = 1) -> None:
    """Train undisturbed, and with one kill after the other, by one command line each."""

    def start(name: str, fault: str = "") -> int:
        if processes == 1:
            return run(command, folder / name, fault)
        point, _, rank = fault.partition("@")
        return run_two(command, folder / name, point, int(rank or 0))

    def printed(name: str) -> str:
        return (folder / name / "output.txt").read_text()

    assert start("whole") == 0, printed("whole")
    for fault in faults:
        code = start("killed", fault)
        assert code == -9 if processes == 1 else code, f"{fault}: {code}\n{printed('killed')}"
    assert start("killed") == 0, printed("killed")
    whole, killed = (folder / name / "runs" / "fit" / "version_0" for name in ("whole", "killed"))
    assert_equal(state_of(whole), state_of(killed))
    assert rows_of(whole) == rows_of(killed)
    assert [path.name for run in (whole, killed) for path in run.parent.iterdir()] == ["version_0", "version_0"]


def test_it_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    check(CLASSIFICATION + COMMON, ["step:3", "before-rename:2", "validation:1"], tmp_path)


FIRST_EPOCH = ["step:1", "backward:2", "update:3", "validation:1", "write:1", "before-rename:1"]
LATER = ["after-rename:1", "step:7", "backward:4", "update:2", "validation:3", "before-rename:1", "after-rename:1"]
EACH_STEP = ["write:3", "step:2", "before-rename:3", "backward:3", "update:3", "after-rename:1", "validation:2"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("task", [CLASSIFICATION, DETECTION], ids=["classification", "detection"])
@pytest.mark.parametrize("minutes", ["10", "0"], ids=["each epoch", "each step"])
def test_from_every_point_it_ends_like_an_undisturbed_one(
    task: str, workers: int, minutes: str, tmp_path: Path
) -> None:
    faults = EACH_STEP if minutes == "0" else FIRST_EPOCH + LATER
    command = f"{task}{COMMON} --data.num_workers {workers} --save_minutes {minutes} --trainer.max_epochs 6"
    check(command, faults, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("task", [CLASSIFICATION, DETECTION], ids=["classification", "detection"])
def test_two_processes_of_which_either_is_killed(task: str, tmp_path: Path) -> None:
    faults = ["step:2@0", "backward:2@1", "update:4@0", "validation:1@1", "write:2@0", "after-rename:1@0", "step:1@1"]
    devices = " --trainer.devices 2 --trainer.strategy ddp --trainer.max_epochs 8 --save_minutes 0"
    check(task + COMMON + devices, faults, tmp_path, processes=2)
