"""What a user reads about a class that cannot be had."""

import pytest

from visiontasks.cli.class_paths import explain_path
from visiontasks.cli.training import TrainingCLI
from visiontasks.errors import ArgumentError


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--model.optimizer torch.optim.SDG", r"--model.optimizer: Module 'torch.optim' .*'SDG'. Did you mean 'SGD'"),
        ("--model.optimizer no_package.Lion", r"--model.optimizer: 'no_package.Lion' .* No module named 'no_package'"),
        ("--model.optimizer torch.nn.Linear", r"--model.optimizer torch.nn.Linear: expected a subclass of Optimizer"),
        ("--model.lr_scheduler torch.optim.lr_scheduler.StepL", r"'StepL'. Did you mean 'StepLR'"),
        ("--model.lr_scheduler StepLR", r"--model.lr_scheduler StepLR needs --model.lr_scheduler.step_size\."),
        ("--model.lr_scheduler Zebra", r"--model.lr_scheduler Zebra: unknown. Known: "),
        ("--trainer.logger no_package.Logger", r"--trainer.logger: 'no_package.Logger' cannot be imported"),
        ("--trainer.callbacks+=visiontasks.callbacks.WorstSample", r"Did you mean 'WorstSamples'"),
    ],
)  # fmt: skip
def test_a_wrong_path_is_named(flags: str, message: str) -> None:
    with pytest.raises(ArgumentError, match=message) as raised:
        TrainingCLI("fit", flags.split())
    text = str(raised.value)
    assert "expected null" not in text
    known = text.partition("Known: ")[2].partition(". ")[0].split(", ")
    assert len(known) == len(set(known))


def test_of_several_classes_of_a_name_the_paths_are_told() -> None:
    message = "Multiple subclasses with name Both. Give the full class path to avoid ambiguity: a.Both, b.Both."
    expected = "--model.part Both: there are several of that name. Give the path of one: a.Both, b.Both."
    assert explain_path(message, "model.part") == expected


def test_other_errors_are_left_to_others() -> None:
    assert explain_path("Expected a <class 'int'>. Got value: 3.5", "trainer.max_epochs") is None
