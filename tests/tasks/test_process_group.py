"""What is said of a process that was waited for in vain; tests/distributed/test_failures.py sees it happen."""

from collections.abc import Callable
from typing import Any

import pytest
from lightning.pytorch import Trainer
from torch import distributed

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.errors import ProcessGroupError
from visiontasks.tasks.process_group import ProcessGroupErrors, explain, explained

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/"
TIMED_OUT = RuntimeError(f"{GLOO}unbound_buffer.cc:78] Timed out waiting 6000ms for recv operation to complete")


class Failing(ClassificationTask):
    """An error of its process group in the first step."""

    def losses(self, outputs: Any, batch: Any) -> Any:  # noqa: ANN401 - as in the base
        raise TIMED_OUT


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TIMED_OUT, "Process 0 of 1 waited for another one"),
        (distributed.DistStoreError("wait timeout after 300000ms, keys: /default"), "which did not come."),
        (distributed.DistNetworkError("The client socket has timed out"), "which did not come."),
        (
            RuntimeError(f"{GLOO}pair.cc:561] Connection closed by peer [127.0.0.1]:1"),
            "which ended. The output of that",
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("time-out"), None),
    ],
)
def test_errors_of_the_process_group_are_told_from_others(
    error: Exception, expected: str | None, make_trainer: Callable[..., Trainer]
) -> None:
    text = explain(error, make_trainer())
    assert text is None if expected is None else text is not None and expected in text


def test_every_task_explains_once_and_the_error_stays_what_it_is(make_trainer: Callable[..., Trainer]) -> None:
    trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0)
    task = Failing(4, backbone_options={"filters": [4], "depth": 1})
    data = ShapesDataModule(train_size=4, val_size=2, image_size=(16, 16), batch_size=2)
    with pytest.raises(RuntimeError, match="Timed out waiting 6000ms") as raised:
        trainer.fit(task, datamodule=data)
    (note,) = raised.value.__notes__
    assert note.startswith(
        "Process 0 of 1 waited for another one where the processes meet at the start (step 0, epoch 0"
    )
    del raised.value.__notes__
    with pytest.raises(ProcessGroupError, match=r"^Process 0 of 1 waited for another one"), explained():
        trainer.fit(task, datamodule=data)
    assert sum(isinstance(callback, ProcessGroupErrors) for callback in trainer.callbacks) == 1  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight


def test_another_error_passes_as_it_is() -> None:
    error = RuntimeError("another")
    error.add_note("of somebody else")
    with pytest.raises(RuntimeError, match="another") as raised, explained():
        raise error
    assert raised.value is error
