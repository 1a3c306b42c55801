"""Hooks of Lightning that a subclass overrides without a call of ``super()``, as everybody does."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, EarlyStopping, ModelCheckpoint
from lightning.pytorch.core.hooks import CheckpointHooks, ModelHooks
from lightning.pytorch.demos.boring_classes import BoringModel
from torch import nn

from visiontasks import AutoencodingTask, ClassificationTask, ShapesDataModule
from visiontasks.tasks.owned import OwnedCallback
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD

# To go on in the folder of the run is the point.
pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")

HOOKS = {
    *(name for hooks in (ModelHooks, CheckpointHooks) for name in vars(hooks) if not name.startswith("_")),
    *("prepare_data", "setup", "teardown", "configure_callbacks"),
} - {"configure_sharded_model"}  # of old; it excludes configure_model


def overridden(*, calls_super: bool) -> dict[str, Any]:
    """Override every hook; those that set the mode of the network have to, as Lightning documents them."""

    def override(name: str) -> Callable[..., Any]:
        def hook(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Lightning calls it
            if calls_super:
                return getattr(ClassificationTask, name)(self, *args, **kwargs)
            if name.endswith(("_model_eval", "_model_train")):
                self.train(name.endswith("_train"))
            return None

        return hook

    return {name: override(name) for name in HOOKS}


class Bare(ClassificationTask):
    """Overrides every hook."""

    for _name, _hook in overridden(calls_super=False).items():
        locals()[_name] = _hook


class Mixin:
    """The same for any task."""

    for _name, _hook in overridden(calls_super=False).items():
        locals()[_name] = _hook


class Mixed(Mixin, ClassificationTask):
    """Gets its hooks from elsewhere."""


class Polite(ClassificationTask):
    """Calls the base in every hook."""

    for _name, _hook in overridden(calls_super=True).items():
        locals()[_name] = _hook


def shapes() -> ShapesDataModule:
    return ShapesDataModule(train_size=6, val_size=4, test_size=3, image_size=(16, 20), batch_size=3)


class Run:
    """Trains a task for two epochs, tests it, and keeps a checkpoint of each epoch."""

    def __init__(
        self,
        kind: type[ClassificationTask],
        make_trainer: Callable[..., Trainer],
        folder: Path,
        ckpt_path: Path | None = None,
    ) -> None:
        torch.manual_seed(0)
        options: dict[str, Any] = {"normalization": "dataset", "class_weights": "balanced", "calibrate": True}
        self.task = kind(4, backbone_options={"filters": [4], "depth": 1}, dropout=0.3, freeze=1, **options)
        keep = ModelCheckpoint(
            folder, "{epoch}", save_top_k=-1, monitor="val/accuracy", mode="max", save_weights_only=False
        )
        stop = EarlyStopping("val/loss", patience=5)
        self.trainer = make_trainer(max_epochs=2, enable_checkpointing=True, callbacks=[stop, keep])
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "freeze is .* random weights")
            self.trainer.fit(self.task, shapes(), ckpt_path=ckpt_path)
        self.figures = dict(self.trainer.callback_metrics)
        self.best = keep.best_model_score
        self.trainer.save_checkpoint(folder / "weights.ckpt", weights_only=True)
        self.weights = {name: value.clone() for name, value in self.task.state_dict().items()}
        (self.tested,) = self.trainer.test(self.task, shapes(), verbose=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("plain")

    def make_trainer(**options: Any) -> Trainer:  # noqa: ANN401 - what a Trainer takes
        quiet: dict[str, Any] = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
        return Trainer(accelerator="cpu", default_root_dir=folder, **quiet, **options)

    return Run(ClassificationTask, make_trainer, folder), folder


def assert_equal(found: Run, expected: Run) -> None:
    assert found.weights.keys() == expected.weights.keys()
    assert all(torch.equal(value, expected.weights[name]) for name, value in found.weights.items())
    assert found.figures.keys() == expected.figures.keys()
    assert {"train/accuracy", "val/loss", "val/accuracy", "val/class_accuracy/star", "val/temperature"} <= set(
        found.figures
    )
    for name, value in found.figures.items():
        torch.testing.assert_close(value, expected.figures[name], rtol=0, atol=0, equal_nan=True)
    assert found.tested == pytest.approx(expected.tested, rel=0, abs=0, nan_ok=True)
    assert found.best == expected.best


@pytest.mark.parametrize("kind", [Bare, Mixed, Polite])
def test_a_subclass_that_overrides_every_hook_loses_nothing(
    kind: type[ClassificationTask], plain: tuple[Run, Path], make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    expected, folder = plain
    run = Run(kind, make_trainer, tmp_path)
    assert_equal(run, expected)
    assert_equal(Run(kind, make_trainer, tmp_path, tmp_path / "epoch=0.ckpt"), expected)
    for name in ("weights.ckpt", "epoch=1.ckpt"):
        record, expected_record = (read_checkpoint(place / name)[RECORD] for place in (tmp_path, folder))
        assert record == expected_record | {"task": kind.__name__}
    loaded = kind.load_from_checkpoint(tmp_path / "weights.ckpt")
    assert (loaded.class_names, loaded.image_size) == (["circle", "square", "triangle", "star"], (16, 20))
    data = shapes()
    data.setup("test")
    pages: list[Any] = [
        make_trainer().predict(task, data.test_dataloader()) for task in (loaded, run.task, expected.task)
    ]
    assert all(torch.equal(page[0].probabilities, pages[0][0].probabilities) for page in pages)


def test_hooks_of_checkpoints_see_what_the_task_records(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    class Adding(ClassificationTask):
        seen: list[str]

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["mine"] = checkpoint[RECORD]["class_names"][0]

        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            self.seen = [checkpoint["mine"], *(self.class_names or [])[:1]]

    trainer = make_trainer(max_epochs=1, limit_val_batches=0)
    trainer.fit(Adding(4, backbone_options={"filters": [4], "depth": 1}), shapes())
    trainer.save_checkpoint(tmp_path / "adding.ckpt")
    assert Adding.load_from_checkpoint(tmp_path / "adding.ckpt").seen == ["circle", "circle"]


def test_callbacks_of_the_module_come_before_those_of_the_task(make_trainer: Callable[..., Trainer]) -> None:
    class Own(ClassificationTask):
        def configure_callbacks(self) -> Any:  # noqa: ANN401 - a list, or one
            return [BackboneFinetuning(1, lambda _: 1.0), ModelCheckpoint(self.trainer.default_root_dir)]

    class One(ClassificationTask):
        def configure_callbacks(self) -> Any:  # noqa: ANN401 - a list, or one
            return EarlyStopping("val/loss")

    small: dict[str, Any] = {"filters": [4], "depth": 1}
    trainer = make_trainer(max_epochs=2, enable_checkpointing=True)
    task = Own(4, freeze="all", backbone_options=small)
    trainer.fit(task, shapes())
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # the Trainer sets it out of mypy's sight
    kinds = [type(callback) for callback in callbacks]
    assert [callback for callback in callbacks if isinstance(callback, OwnedCallback)] == list(task.owned_callbacks)
    first = kinds.index(type(task.owned_callbacks[0]))
    assert kinds.index(BackboneFinetuning) < first < kinds.index(ModelCheckpoint) == len(kinds) - 1
    # Unfrozen like the rest: with a group for what does not decay, and its batch norm once more trained.
    assert [group["weight_decay"] for group in trainer.optimizers[0].param_groups[2:]] == [0.0, 0.05]
    assert all(module.training for module in task.backbone.train().modules() if isinstance(module, nn.BatchNorm2d))
    trainer = make_trainer(max_epochs=1)
    trainer.fit(One(4, backbone_options=small), shapes())
    assert any(isinstance(callback, EarlyStopping) for callback in trainer.callbacks)  # type: ignore[attr-defined]  # as above


def test_another_task_gets_none_of_them(make_trainer: Callable[..., Trainer], caplog: pytest.LogCaptureFixture) -> None:
    trainer, small = make_trainer(), {"filters": [4], "depth": 1}
    for task in (ClassificationTask(4, backbone_options=small), AutoencodingTask(backbone_options=small, code="map")):
        with caplog.at_level("INFO"):
            trainer.validate(task, shapes(), verbose=False)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]  # as above
        assert [callback for callback in callbacks if isinstance(callback, OwnedCallback)] == list(task.owned_callbacks)
    assert "will override existing callbacks" not in caplog.text


@pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")
def test_a_module_of_another_kind_gets_none_of_them(make_trainer: Callable[..., Trainer]) -> None:
    class Other(Callback):
        pass

    trainer = make_trainer(max_epochs=1, limit_train_batches=1, limit_val_batches=1, callbacks=[Other()])
    trainer.fit(ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}), shapes())
    module: LightningModule = BoringModel()
    trainer.validate(module, verbose=False)
    kinds = {type(callback) for callback in trainer.callbacks}  # type: ignore[attr-defined]  # as above
    assert Other in kinds
    assert not any(issubclass(kind, OwnedCallback) for kind in kinds)
