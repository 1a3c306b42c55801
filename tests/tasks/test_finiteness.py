from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor
from torch.optim import SGD

from tests.tasks.bad_steps import OPTIONS, Bad, batches, made, state_of
from visiontasks import ClassificationTask
from visiontasks.errors import ArgumentError, CheckpointError, NonFiniteLossError
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.types import ClassificationBatch


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("loss", r"loss is not finite at step 1 \(known [\d.]+, added nan\)"),
        ("infinite loss", r"loss is not finite at step 1 \(known [\d.]+, added inf\)"),
        ("gradient", r"gradient is not finite at step 1 \(backbone\S+ nan, \S+ nan, \S+ nan and \d+ more parameters\)"),
    ],
)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_what_is_not_finite_is_named_and_changes_no_weight(
    kind: str, values: str, precision: str, fit: Callable[..., Trainer]
) -> None:
    task = made({20: kind})
    noted: list[Tensor] = []

    class Watch(Callback):
        def on_train_batch_end(self, *args: object) -> None:
            noted[:] = [value.detach().clone() for value in task.parameters()]

    data = [batches(3)[0], batches(3)[2]]
    with pytest.raises(NonFiniteLossError, match=rf"The {values} for the images with ids \[20, 21, 22, 23\]; the we"):
        fit(task, data, max_epochs=1, precision=precision, callbacks=[Watch()])
    assert noted
    assert all(torch.equal(*pair) for pair in zip(noted, task.parameters(), strict=True))


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_batches_are_skipped_up_to_a_limit_in_a_row(kind: str, fit: Callable[..., Trainer]) -> None:
    data = batches(6)
    expected = fit(made({}), [data[0], data[3], data[5]], max_epochs=1)
    task = made({10: kind, 20: kind, 40: kind}, skip_nonfinite=2)
    with pytest.warns(UserWarning, match=rf"The {kind} is not finite at step [124] .* Skipped\."):
        trainer = fit(task, data, max_epochs=1)
    # Neither weights, nor statistics of batch norm, nor the optimiser's state have seen them.
    assert all(torch.equal(*pair) for pair in zip(state_of(expected), state_of(trainer), strict=True))
    assert trainer.global_step == 6
    assert trainer.callback_metrics["train/skipped"] == 3
    with pytest.raises(NonFiniteLossError, match="at step 2"), pytest.warns(UserWarning, match="Skipped"):
        fit(made({10: kind, 20: kind}, skip_nonfinite=1), data, max_epochs=1)


def test_nothing_is_counted_where_nothing_was_skipped(fit: Callable[..., Trainer]) -> None:
    task = made({}, skip_nonfinite=2)
    assert not task._parts.finite_updates.state_dict()
    trainer = fit(task, batches(2), max_epochs=1)
    assert "train/skipped" not in trainer.callback_metrics
    assert not task._parts.finite_updates.state_dict()


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_accumulated_gradients_are_left_out_together(kind: str, fit: Callable[..., Trainer]) -> None:
    data = batches(6)
    expected = fit(made({}), [data[0], data[1], data[4], data[5]], max_epochs=1, accumulate_grad_batches=2)
    with pytest.warns(UserWarning, match=rf"{kind} is not finite at step 1 .* Skipped"):
        trainer = fit(made({20: kind}, skip_nonfinite=1), data, max_epochs=1, accumulate_grad_batches=2)
    assert all(torch.equal(*pair) for pair in zip(state_of(expected), state_of(trainer), strict=True))
    # Of two batches the loss names the right one; a gradient may be of both.
    ids = {"loss": r"ids \[20, 21, 22, 23\]", "gradient": r"ids \[20, 21, 22, 23, 30, 31, 32, 33\]"}
    with pytest.raises(NonFiniteLossError, match=ids[kind]):
        fit(made({20: kind}), data, max_epochs=1, accumulate_grad_batches=2)


def test_the_counts_go_on_after_a_resume(fit: Callable[..., Trainer], tmp_path: Path) -> None:
    data = batches(3)
    with pytest.warns(UserWarning, match="Skipped"):
        fit(made({20: "loss"}, skip_nonfinite=1), data, max_epochs=1).save_checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(NonFiniteLossError, match="at step 3"):
        fit(made({0: "loss"}, skip_nonfinite=1), data, tmp_path / "a.ckpt", max_epochs=2)


def test_the_scaler_of_float16_skips_by_itself(fit: Callable[..., Trainer]) -> None:
    def run(task: Bad) -> Trainer:
        precision = MixedPrecision("16-mixed", "cpu", scaler=torch.amp.GradScaler("cpu"))
        return fit(task, batches(4), max_epochs=1, plugins=[precision])

    trainer = run(made({10: "gradient", 20: "gradient"}))
    assert all(value.isfinite().all() for value in state_of(trainer))
    assert "train/skipped" not in trainer.callback_metrics
    expected = run(made({10: "gradient", 30: "gradient"}))
    assert not all(torch.equal(*pair) for pair in zip(state_of(expected), state_of(trainer), strict=True))
    with pytest.raises(NonFiniteLossError, match=r"loss is not finite at step 1 \(known [\d.]+, added nan\)"):
        run(made({10: "loss"}))
    # What this process skips, the scalers of all skip.
    with pytest.warns(UserWarning, match=r"loss is not finite at step 1 .* Skipped"):
        trainer = run(made({10: "loss"}, skip_nonfinite=1))
    precision: Any = trainer.precision_plugin
    assert precision.scaler.get_scale() == 2.0**15


class Own(Bad):
    """Has a training step of its own, and hooks without a call of the base."""

    def training_step(self, batch: ClassificationBatch, batch_idx: int) -> Tensor:
        return torch.stack(list(self.losses(self(batch.images), batch).values())).sum()

    def on_before_optimizer_step(self, *args: object) -> None:
        pass

    def configure_callbacks(self) -> list[Any]:
        return []


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_step_of_ones_own_is_guarded_too(kind: str, fit: Callable[..., Trainer]) -> None:
    task = Own({10: kind}, optimizer=partial(SGD, lr=0.1))
    with pytest.raises(NonFiniteLossError, match=f"The {kind} is not finite at step 1"):
        fit(task, batches(2), max_epochs=1)
    assert all(value.isfinite().all() for value in task.parameters())


class Two(Bad):
    """Steps two optimisers by hand; the loss of the second is bad."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the arguments of the base
        super().__init__({10: "gradient"}, **options)
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - as Lightning documents it
        return [SGD(self.backbone.parameters(), 0.1), SGD(self.head.parameters(), 0.1)]

    def training_step(self, batch: ClassificationBatch, batch_idx: int) -> Any:  # noqa: ANN401 - as the base
        optimizers: Any = self.optimizers()
        for optimizer, factor in zip(optimizers, (0.0, 1.0), strict=True):
            optimizer.zero_grad()
            loss = super().training_step(batch, batch_idx) if factor else self(batch.images).square().mean()
            self.manual_backward(loss)
            optimizer.step()


def test_each_optimiser_of_a_manual_training_is_guarded(fit: Callable[..., Trainer]) -> None:
    task = Two()
    with pytest.raises(NonFiniteLossError, match=r"gradient is not finite at step 3 \(head\S+ nan"):
        fit(task, batches(2), max_epochs=1)
    assert all(value.isfinite().all() for value in task.parameters())
    task = Two(skip_nonfinite=1)
    with pytest.warns(UserWarning, match="Skipped"):
        fit(task, batches(2), max_epochs=1)
    assert all(value.isfinite().all() for value in task.parameters())
    task = Two(skip_nonfinite=1)
    task.bad = {0: "gradient", 10: "gradient"}
    with pytest.raises(NonFiniteLossError, match="at step 3"), pytest.warns(UserWarning, match="Skipped"):
        fit(task, batches(2), max_epochs=1)


def test_a_gradient_that_is_large_but_finite_is_none_that_is_not(fit: Callable[..., Trainer]) -> None:
    class Large(ClassificationTask):
        def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
            return {"large": outputs.mean() * 1e25}

    # The squares of the gradients overflow.
    fit(Large(3, optimizer=partial(SGD, lr=1e-30), **OPTIONS), batches(2), max_epochs=1)


@pytest.mark.parametrize("trouble", ["gradient", "rate"])
def test_the_last_good_checkpoint_is_kept(trouble: str, fit: Callable[..., Trainer], tmp_path: Path) -> None:
    """A NaN gradient with a finite loss, and a learning rate of a million."""
    keep = ModelCheckpoint(tmp_path, "{epoch}", monitor=None, save_last=True, every_n_train_steps=1)
    lr = 1e6 if trouble == "rate" else 0.01
    task = made({20: "gradient"} if trouble == "gradient" else {}, optimizer=partial(SGD, lr=lr, momentum=0.9))
    with pytest.raises((NonFiniteLossError, CheckpointError)):
        fit(task, batches(3), max_epochs=300, callbacks=[keep], enable_checkpointing=True)
    for path in tmp_path.glob("*.ckpt"):
        task.load_state_dict(read_checkpoint(path)["state_dict"])
        assert all(value.isfinite().all() for value in task.state_dict().values())
    assert (tmp_path / "last.ckpt").exists()


def test_a_limit_below_zero_is_an_error() -> None:
    with pytest.raises(ArgumentError, match=r"skip_nonfinite is -1; expected the number of batches in a row"):
        ClassificationTask(3, skip_nonfinite=-1, **OPTIONS)
