"""How long a training is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from visiontasks import ClassificationTask, ShapesDataModule
from visiontasks.cli import length, main
from visiontasks.cli.length import Length, default_epochs
from visiontasks.cli.training import TrainingCLI

FLAGS = (
    "--data.train_size 24 --data.val_size 8 --data.batch_size 8 --data.image_size [24,24] --shown [] "
    "--model.backbone_options.filters [4,8] --model.backbone_options.depth 1 "
    "--trainer.accelerator cpu --trainer.enable_progress_bar false --trainer.enable_model_summary false"
)
SMALL = FLAGS.split()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take few steps by default."""
    monkeypatch.setattr(length, "ENOUGH_STEPS", 11)
    monkeypatch.setattr(length, "FEWEST_EPOCHS", 2)


def fitted(*words: str) -> TrainingCLI:
    cli = TrainingCLI("fit", [*SMALL, *words])
    cli.run()
    return cli


def said(caplog: pytest.LogCaptureFixture) -> str:
    (line,) = [message for message in caplog.messages if message.startswith("Length: ")]
    return line


def test_few_images_are_seen_often_and_many_seldom() -> None:
    steps = [1, 3, 10, 40, 200, 201, 938, 100_000, float("inf")]
    assert [default_epochs(one) for one in steps] == [100, 100, 100, 25, 5, 5, 5, 5, 5]


@pytest.mark.usefixtures("few")
class TestDefault:
    def test_the_epochs_come_near_to_the_number_of_steps(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        cli = fitted()
        assert (cli.trainer.current_epoch, cli.trainer.global_step) == (4, 12)
        assert said(caplog) == (
            "Length: 4 epochs (passes over the training images), 3 steps (batches) each, 12 steps in all. No length "
            "was given: by default it is near 11 steps, but at least 2 and at most 100 epochs; --trainer.max_epochs "
            "changes it."
        )

    def test_the_schedule_ends_with_it_and_the_run_tells_it(self) -> None:
        cli = fitted()
        schedule: Any = cli.trainer.lr_scheduler_configs[0].scheduler
        factors = schedule.lr_lambdas[0].keywords
        assert (factors["total_steps"], factors["warmup_steps"]) == (12, 1)
        config = yaml.safe_load(Path("runs/fit/version_0/config.yaml").read_text())
        assert config["trainer"]["max_epochs"] == 4
        callbacks: list[Any] = cli.trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of sight
        (described,) = [one.config for one in callbacks if type(one).__name__ == "WandbRun"]
        assert described["arguments"]["trainer"]["max_epochs"] == 4

    @pytest.mark.parametrize(
        ("words", "epochs", "steps"),
        [
            ("--trainer.accumulate_grad_batches 2", 6, 12),
            ("--trainer.limit_train_batches 2", 6, 12),
            ("--trainer.limit_train_batches 0.4", 11, 11),
            ("--trainer.overfit_batches 1", 11, 11),
            ("--trainer.min_epochs 5", 5, 15),
            ("--trainer.min_steps 17", 6, 18),
        ],
    )
    def test_what_changes_the_steps_of_an_epoch_counts(self, words: str, epochs: int, steps: int) -> None:
        trainer = fitted(*words.split()).trainer
        assert (trainer.current_epoch, trainer.global_step) == (epochs, steps)

    def test_a_time_ends_it_before_and_is_told(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        assert fitted("--trainer.max_time", "00:00:10:00").trainer.global_step == 12
        assert "12 steps in all, unless its time is over before. No length was given" in said(caplog)

    @pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
    def test_a_training_goes_on_within_an_epoch(self, make_trainer: Callable[..., Trainer], folder: Path) -> None:
        """The position of the data is restored after the length is chosen, which must not take it away."""

        def train(resumed: Path | None = None) -> Trainer:
            torch.manual_seed(0)
            task = ClassificationTask(4, backbone_options={"filters": (4,)}, lr_scheduler="constant", warmup=0)
            data = ShapesDataModule(train_size=24, val_size=8, test_size=4, batch_size=8, image_size=16)
            saving = ModelCheckpoint(folder / "kept", "{step}", every_n_train_steps=4, save_top_k=-1)
            callbacks = [saving, Length(given=False)]
            trainer = make_trainer(max_epochs=1, callbacks=callbacks, enable_checkpointing=True)
            trainer.fit(task, data, ckpt_path=resumed)
            return trainer

        whole = train()
        resumed = train(folder / "kept" / "step=4.ckpt")
        assert whole.global_step == resumed.global_step == 12
        pairs = zip(whole.lightning_module.parameters(), resumed.lightning_module.parameters(), strict=True)
        for one, other in pairs:
            assert one.equal(other)

    def test_batches_that_cannot_be_counted_have_the_fewest_epochs(self, make_trainer: Callable[..., Trainer]) -> None:
        class Stream(torch.utils.data.IterableDataset[Any]):
            def __iter__(self) -> Any:  # noqa: ANN401 - an iterator
                yield from ((torch.zeros(3, 16, 16, dtype=torch.uint8), torch.tensor(0)) for _ in range(4))

        class Streaming(LightningDataModule):
            def train_dataloader(self) -> Any:  # noqa: ANN401 - a loader
                return torch.utils.data.DataLoader(Stream(), batch_size=2)

            def val_dataloader(self) -> Any:  # noqa: ANN401 - a loader
                return self.train_dataloader()

        task = ClassificationTask(2, backbone_options={"filters": (4,)}, lr_scheduler="constant", warmup=0)
        trainer = make_trainer(max_epochs=1, callbacks=[Length(given=False)])
        trainer.fit(task, Streaming())
        assert trainer.current_epoch == 2


class TestGiven:
    def test_epochs_that_are_given_stay(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        assert fitted("--trainer.max_epochs", "1").trainer.global_step == 3
        assert said(caplog).endswith("(passes over the training images), 3 steps (batches) each, 3 steps in all.")

    def test_steps_that_are_given_are_not_cut_off_by_epochs(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        assert fitted("--trainer.max_steps", "31").trainer.global_step == 31
        assert said(caplog) == ("Length: 31 steps (batches). An epoch, a pass over the training images, has 3 steps.")

    def test_a_training_without_end_says_so(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        endless = (
            "--trainer.max_epochs -1 --trainer.max_time 00:00:00:01 --model.lr_scheduler constant --model.warmup 0"
        )
        fitted(*endless.split())
        assert said(caplog) == (
            "Length: until it is stopped, unless its time is over before. An epoch, a pass over the training images, "
            "has 3 steps."
        )

    def test_a_trial_run_says_nothing_of_it(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        assert main(["fit", *SMALL, "--trainer.fast_dev_run", "1"]) == 0
        assert not [message for message in caplog.messages if message.startswith("Length")]
