import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn

from visiontasks.callbacks.evaluation_files import RECORD, EvaluationFiles, Keep, Validation, choose
from visiontasks.errors import ArgumentError

TRAINER = Mock(Trainer, is_global_zero=True)
TASK = SimpleNamespace(monitor="val/loss", monitor_mode="min")


def validate(files: EvaluationFiles, folder: Path, step: int, score: float, fn: Any = TrainerFn.FITTING) -> None:  # noqa: ANN401 (an enumeration)
    files.begin(folder)
    TRAINER.configure_mock(state=SimpleNamespace(fn=fn), global_step=step, callback_metrics={"val/loss": score})
    files.write(TRAINER, TASK, {f"{kind}_{step}.png": f"{score}" for kind in ("one", "two")})


def steps(folder: Path, kind: str = "one") -> list[int]:
    return sorted(int(path.stem.split("_")[1]) for path in (folder / "shown").glob(f"{kind}_*.png"))


@pytest.mark.parametrize("best", [7, 400])
def test_of_1000_validations_the_newest_the_best_and_20_at_even_distances_are_kept(best: int, tmp_path: Path) -> None:
    for step in range(1, 1001):
        # A new process each time, which knows only what is in the folder.
        validate(EvaluationFiles("shown", "pictures"), tmp_path, step, 0.5 if step == best else 1.0)
        if step % 50 == 0:
            assert len(list((tmp_path / "shown").iterdir())) <= 2 * 22 + 1
    kept = steps(tmp_path)
    assert kept == steps(tmp_path, "two")
    assert {1, best, 1000} <= set(kept)
    assert len(kept) in (21, 22)
    others = [step for step in kept if step not in (best, 1000)]
    distances = [later - earlier for earlier, later in pairwise(others)]
    assert max(distances) <= 3.5 * min(distances)
    assert (tmp_path / "shown" / f"one_{best}.png").read_text() == "0.5"


@pytest.mark.parametrize(
    ("keep", "expected"), [(0, [3, 9]), (1, [1, 3, 9]), (3, [1, 3, 4, 6, 9]), ("all", list(range(1, 10)))]
)
def test_how_many_are_kept_can_be_chosen(keep: Keep, expected: list[int], tmp_path: Path) -> None:
    files = EvaluationFiles("shown", "pictures", keep)
    for step in range(1, 10):
        validate(files, tmp_path, step, abs(step - 3.1))
    found = steps(tmp_path)
    assert len(found) == len(expected)
    assert {3, 9} <= set(found)
    if keep != 3:
        assert found == expected


def test_nothing_is_deleted_that_it_did_not_make(tmp_path: Path) -> None:
    folder = tmp_path / "shown"
    folder.mkdir()
    own = [folder / name for name in ("one_0.png", "one_3_copy.png", "notes.txt", "test.png")]
    for file in own:
        file.write_text("of the user")
    files = EvaluationFiles("shown", "pictures", 0)
    for step in range(1, 30):
        validate(files, tmp_path, step, 1.0)
    for step in (40, 41):
        validate(files, tmp_path, step, 1.0, TrainerFn.VALIDATING)
    assert all(file.read_text() == "of the user" for file in own)
    made = {path.name for path in folder.glob("*.png")} - {file.name for file in own}
    assert made == {f"{kind}_{step}.png" for kind in ("one", "two") for step in (1, 29, 40, 41)}


@pytest.mark.parametrize("record", ["", "{}", '[{"step": "x", "score": 1, "files": []}]', '[{"step": 1}]'])
def test_a_damaged_record_means_that_all_files_are_left_alone(record: str, tmp_path: Path) -> None:
    files = EvaluationFiles("shown", "pictures", 0)
    validate(files, tmp_path, 1, 1.0)
    (tmp_path / "shown" / RECORD).write_text(record)
    for step in (2, 3, 4):
        validate(files, tmp_path, step, 1.0)
    assert steps(tmp_path) == [1, 2, 4]


def test_a_record_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "shown").mkdir()
    (tmp_path / "shown" / RECORD).write_text(json.dumps([{"step": 1, "score": 2.0, "files": ["../a.png"]}]))
    files = EvaluationFiles("shown", "pictures", 0)
    for step in (2, 3, 4):
        validate(files, tmp_path, step, 1.0)
    assert (tmp_path / "a.png").exists()


def test_a_validation_that_is_repeated_after_resuming_counts_once(tmp_path: Path) -> None:
    files = EvaluationFiles("shown", "pictures", 2)
    for step in (1, 2, 3, 2, 3, 4, 5, 6):
        validate(files, tmp_path, step, 1.0)
    assert len(steps(tmp_path)) == 4
    recorded = json.loads((tmp_path / "shown" / RECORD).read_text())
    assert sorted(entry["step"] for entry in recorded) == steps(tmp_path)
    assert recorded[-1]["step"] == 6


def test_the_first_of_equal_scores_is_the_best_as_for_checkpoints() -> None:
    scores = {1: None, 2: 0.3, 3: 0.9, 4: 0.9, 5: 0.1}
    validations = [Validation(step, score, []) for step, score in scores.items()]
    assert [one.step for one in choose(validations, 0, "max")] == [3, 5]
    assert [one.step for one in choose(validations[:-1], 0, "min")] == [2, 4]
    assert [one.step for one in choose(validations[:1], 0, "max")] == [1]


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ArgumentError, match="keep is -1; expected 'all', or the number"):
        EvaluationFiles("shown", "pictures", -1)
