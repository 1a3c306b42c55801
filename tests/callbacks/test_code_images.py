from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger

from visiontasks import AutoencodingTask, ShapesDataModule
from visiontasks.callbacks import code_images
from visiontasks.callbacks.code_images import CodeImages
from visiontasks.heads.code import CodeForm

SMALL = {"filters": [4, 8], "depth": 1}


def train(folder: Path, code: CodeForm, variational: bool, callbacks: list[CodeImages]) -> AutoencodingTask:
    torch.manual_seed(0)
    task = AutoencodingTask(
        code_size=6,
        code=code,
        variational=variational,
        backbone_options=SMALL,
        image_size=(17, 22),
    )
    data = ShapesDataModule(train_size=16, val_size=9, image_size=(17, 22), batch_size=8)
    trainer = Trainer(
        max_epochs=2,
        accelerator="cpu",
        devices=1,
        logger=CSVLogger(folder),
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, datamodule=data)
    return task


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.rglob("codes/*.png"))


def test_pictures_are_written_after_every_validation(tmp_path: Path) -> None:
    train(tmp_path, "vector", True, [CodeImages(points=5)])
    kinds = ("between", "map", "samples")
    assert names(tmp_path) == [f"{kind}_epoch_{epoch}" for kind in kinds for epoch in (0, 1)]


def test_as_much_as_asked_is_drawn_of_the_first_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, list[Any]] = {"draw_interpolation": [], "code_map": [], "grid": []}

    def note(name: str) -> None:
        original = getattr(code_images, name)

        def noted(*given: Any) -> Any:  # noqa: ANN401 (as the function it stands in for)
            drawn[name].append(given)
            return original(*given)

        monkeypatch.setattr(code_images, name, noted)

    for name in drawn:
        note(name)
    task = train(tmp_path, "vector", True, [CodeImages(points=5, pairs=2, samples=3)])
    assert [len(calls) for calls in drawn.values()] == [2, 2, 2]
    # The last validation is behind the last step, so these are the weights that the task has now.
    data = ShapesDataModule(train_size=16, val_size=9, image_size=(17, 22), batch_size=8)
    data.setup("fit")
    batch: Any = next(iter(data.val_dataloader()))
    with torch.no_grad():
        codes = task.eval().predict(task(batch.images)).codes
        ends = task.decode(codes[:4], (17, 22))
    (between,) = drawn["draw_interpolation"][-1]
    assert between.shape[:2] == (2, 8)
    torch.testing.assert_close(between[:, [0, -1]].flatten(0, 1), ends)
    points, labels, names = drawn["code_map"][-1]
    torch.testing.assert_close(points, codes[:5])
    assert torch.equal(labels, batch.labels[:5])
    assert tuple(names) == data.class_names
    images, _ = drawn["grid"][-1]
    torch.manual_seed(0)
    with torch.no_grad():
        samples = task.sample(3, (17, 22))
    torch.testing.assert_close(torch.stack(images), samples)


def test_only_validations_are_drawn(tmp_path: Path) -> None:
    task = AutoencodingTask(code_size=6, backbone_options=SMALL, image_size=(17, 22))
    data = ShapesDataModule(train_size=16, test_size=9, image_size=(17, 22), batch_size=8)
    trainer = Trainer(accelerator="cpu", logger=CSVLogger(tmp_path), callbacks=[CodeImages()],
                      enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.test(task, datamodule=data, verbose=False)
    assert names(tmp_path) == []


def test_sampling_leaves_the_other_gpus_of_the_machine_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    fork_rng = torch.random.fork_rng

    def fork(devices: list[torch.device] | None = None) -> AbstractContextManager[None]:
        kept.append(devices)
        return fork_rng(devices)

    monkeypatch.setattr(torch.random, "fork_rng", fork)
    train(tmp_path, "vector", True, [CodeImages()])
    # None would set up every GPU.
    assert kept.count([]) == 2
    assert None not in kept


def test_a_map_is_drawn_too_and_nothing_is_sampled_from_it(tmp_path: Path) -> None:
    train(tmp_path, "map", False, [CodeImages()])
    assert names(tmp_path) == ["between_epoch_0", "between_epoch_1", "map_epoch_0", "map_epoch_1"]


def test_the_training_is_left_as_it_is(tmp_path: Path) -> None:
    with_pictures = train(tmp_path / "a", "vector", True, [CodeImages()]).state_dict()
    without = train(tmp_path / "b", "vector", True, []).state_dict()
    assert all(torch.equal(value, without[name]) for name, value in with_pictures.items())
