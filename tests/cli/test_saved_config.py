"""The configuration of a run: when it is written, and what a command that goes on has to agree with."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import Namespace

from visiontasks.cli import main
from visiontasks.cli.saved_config import SaveConfig, check_goes_on, keep_config
from visiontasks.cli.training import TrainingCLI
from visiontasks.errors import ArgumentError


def test_a_configuration_that_differs_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for text in ("a: 1\nckpt_path: null\n", "a: 1\nckpt_path: last\n", "a: 2\nckpt_path: last\n", "a: 3\n"):
        keep_config(file, text)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "config.yaml": "a: 3\n",
        "config-1.yaml": "a: 1\nckpt_path: last\n",
        "config-2.yaml": "a: 2\nckpt_path: last\n",
    }


def test_the_configuration_is_written_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli = TrainingCLI("fit", ["--trainer.accelerator", "cpu", "--run", "night", "--data.train_size", "5"])
    callbacks: list[object] = cli.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    (save,) = (callback for callback in callbacks if isinstance(callback, SaveConfig))
    save.setup(cli.trainer, cli.model, "fit")
    file = tmp_path / "runs" / "night" / "version_0" / "config.yaml"
    saved = yaml.safe_load(file.read_text())
    assert saved["data"]["init_args"]["train_size"] == 5
    assert (saved["run"], saved["seed_everything"]) == ("night", 0)
    assert "ckpt_path" in saved
    # Another run can be started from it: it names no folder.
    assert saved["trainer"]["logger"]["init_args"]["save_dir"] == ""
    file.write_text("")
    save.setup(cli.trainer, cli.model, "fit")
    assert file.read_text() == ""


TASK, FOLDERS = "visiontasks.tasks.classification.ClassificationTask", "visiontasks.data.FolderDataModule"


def config_of(task: str | None, data: str | None, **arguments: Any) -> Namespace:  # noqa: ANN401 - of the data
    """The configuration of a command; that of a recipe names no classes."""
    model = Namespace() if task is None else Namespace(class_path=task, init_args=Namespace())
    given = Namespace(**arguments)
    return Namespace(model=model, data=given if data is None else Namespace(class_path=data, init_args=given))


def check(before: Namespace, now: Namespace) -> None:
    folder = Path("runs/res/version_0")
    folder.mkdir(parents=True, exist_ok=True)
    check_goes_on(folder, now)  # says nothing without a configuration
    (folder / "config.yaml").write_text(yaml.safe_dump(before.as_dict()))
    try:
        check_goes_on(folder, now)
    finally:
        (folder / "config.yaml").unlink()


def test_going_on_with_another_task_or_other_data_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("imb", "other"):
        Path(name).mkdir()
    before = config_of(TASK, FOLDERS, root="imb")
    shapes = config_of(TASK, "visiontasks.data.ShapesDataModule")
    found = (
        r"^The run in 'runs/res/version_0' was trained with --data FolderDataModule --data\.root imb, and this command "
        r"has --data ShapesDataModule\. To go on, give --config runs/res/version_0/config\.yaml, or the flags"
    )
    with pytest.raises(ArgumentError, match=found):
        check(before, shapes)
    with pytest.raises(
        ArgumentError, match=r"with --model ClassificationTask, and this command has --model my\.Task\."
    ):
        check(before, config_of("my.Task", FOLDERS, root="imb"))
    for task, data in ((TASK, FOLDERS), (None, None)):
        with pytest.raises(ArgumentError, match=r"with --data\.root imb, and this command has --data\.root other\."):
            check(config_of(task, data, root="imb"), config_of(task, data, root="other"))


def test_going_on_with_the_same_or_with_data_that_were_moved_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("imb").mkdir()
    check(config_of(TASK, FOLDERS, root="imb"), config_of(TASK, FOLDERS, root=tmp_path / "imb"))
    check(config_of(TASK, FOLDERS, root="/node/job-1"), config_of(TASK, FOLDERS, root="imb"))
    check(config_of(None, None, root="imb"), config_of(TASK, FOLDERS, root="imb"))
    check(config_of(TASK, FOLDERS), config_of("visiontasks.ClassificationTask", FOLDERS))


def test_a_command_that_fails_before_its_training_leaves_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [
        *("fit", "--trainer.accelerator=cpu", "--data.train_size=8", "--data.val_size=4", "--data.batch_size=4"),
        *("--data.image_size=24", "--model.backbone_options.filters=[4]", "--shown=[]", "--report=false"),
    ]
    assert main([*words, "--trainer.max_epochs=1"]) == 0
    files = {path: path.read_bytes() for path in Path("runs").rglob("*.*") if path.is_file()}
    again = [*words, "--ckpt_path=last", "--trainer.max_epochs=2"]
    for changed in ("--model.backbone_options.filters=[6]", "--model=SegmentationTask"):
        assert main([*again, changed]) == 2
        assert {path: path.read_bytes() for path in Path("runs").rglob("*.*") if path.is_file()} == files
    assert main([*again, "--model.dropout=0.5"]) == 0
    saved = {path.name: yaml.safe_load(path.read_text()) for path in Path("runs/fit/version_0").glob("config*.yaml")}
    assert {name: config["model"]["init_args"]["dropout"] for name, config in saved.items()} == {
        "config.yaml": 0.5,
        "config-1.yaml": 0.0,
    }
