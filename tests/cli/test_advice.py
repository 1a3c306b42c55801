"""Advice in the words of the command line."""

from pathlib import Path

import pytest

from visiontasks.cli import choices, main, training
from visiontasks.cli.advice import in_flags


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("read them with exif='ignore'.", "read them with --data.exif ignore."),
        ("Pass download=True, or put it there.", "Pass --data.download true, or put it there."),
        ("as in fractions=[0.8, 0.1, 0.1].", "as in --data.fractions [0.8,0.1,0.1]."),
        ("value_range=(0, 4095) or 'percentiles'", "--data.value_range [0,4095] or 'percentiles'"),
        ("give class_names=['a', 'b c'],", "give --data.class_names [a,b c],"),
        ("set skip_nonfinite=3", "set --model.skip_nonfinite 3"),
        (
            "by max_epochs=17 or num_sanity_val_steps=0",
            "by --trainer.max_epochs 17 or --trainer.num_sanity_val_steps 0",
        ),
        ("image_size=(32, 24) of both", "image_size=(32, 24) of both"),
        ("unknown_word=3, Trainer.fit(devices=1)", "unknown_word=3, Trainer.fit(devices=1)"),
        ("--data.download=True", "--data.download=True"),
    ],
)
def test_arguments_become_flags(message: str, expected: str) -> None:
    assert choices.TASKS
    assert training.TrainingCLI.__name__
    assert in_flags(message) == expected


def test_an_error_of_a_command_is_in_flags(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "--data", "MNISTDataModule", "--data.root", str(tmp_path)]) == 2
    assert "--data.download true" in capsys.readouterr().err
