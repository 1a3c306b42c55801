from pathlib import Path

import pytest
import yaml

from visiontasks.cli.saved_config import SaveConfig, keep_config
from visiontasks.cli.training import TrainingCLI


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
