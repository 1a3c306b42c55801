"""Evaluation at another size than training, from the data to prediction and export."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
import torch
from lightning.pytorch import Trainer

from visiontasks import ClassificationTask, COCODataModule, FolderDataModule, MNISTDataModule, ShapesDataModule
from visiontasks.data.images.reading import Reading
from visiontasks.errors import ArgumentError
from visiontasks.export import export_task
from visiontasks.prediction import predict_images
from visiontasks.prediction.scoring import match_data
from visiontasks.tasks.views import evaluation_view

SMALL: dict[str, Any] = {"backbone_options": {"filters": (4, 6), "depth": 1}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("dark", "light"):
            place = tmp_path / "data" / split / name
            place.mkdir(parents=True)
            for number in range(3):
                pixels = generator.integers(0, 128, (40, 30, 3)) + 100 * (name == "light")
                PIL.Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}.png")
    return tmp_path / "data"


def data_of(folder: Path, **options: Any) -> FolderDataModule:  # noqa: ANN401 - its arguments
    return FolderDataModule(folder, image_size=16, batch_size=2, num_workers=0, **options)


def sizes(loader: Any) -> set[tuple[int, ...]]:  # noqa: ANN401 - a loader
    return {tuple(batch.images.shape[-2:]) for batch in loader}


def test_validation_prediction_and_export_see_the_size_of_evaluation(
    folder: Path, tmp_path: Path, make_trainer: Callable[..., Trainer]
) -> None:
    data = data_of(folder, eval_size=(24, 28))
    task = ClassificationTask(2, **SMALL)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(task, data)
    assert (sizes(data.train_dataloader()), sizes(data.val_dataloader())) == ({(16, 16)}, {(24, 28)})
    trainer.save_checkpoint(tmp_path / "a.ckpt")

    loaded = ClassificationTask.load_from_checkpoint(tmp_path / "a.ckpt").eval()
    assert (evaluation_view(loaded) or {})["size"] == [24, 28]
    file = next((folder / "val" / "dark").iterdir())
    (prediction,) = predict_images(loaded, file)
    pixels = Reading(3).pixels(file)
    seen = torch.from_numpy(cv2.resize(pixels, (28, 24), interpolation=cv2.INTER_AREA)).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = loaded.predict(loaded(seen)).scores
    assert prediction.scores == pytest.approx(expected.tolist(), abs=0.02)
    assert export_task(loaded, tmp_path / "a.pt2").metadata["image_size"] == [24, 28]

    # The same checkpoint on data that do not say a size, and at one more.
    for given, size in (({}, (24, 28)), ({"eval_size": 32}, (32, 32))):
        again = FolderDataModule(folder, batch_size=2, num_workers=0, **given)  # type: ignore[arg-type]  # options
        match_data(again, loaded, "val")
        again.setup("validate")
        assert sizes(again.val_dataloader()) == {size}


def test_without_it_all_see_one_size(folder: Path) -> None:
    data = data_of(folder)
    data.setup("fit")
    assert sizes(data.val_dataloader()) == sizes(data.train_dataloader()) == {(16, 16)}


def test_where_images_are_not_stretched_it_is_refused(folder: Path) -> None:
    data = FolderDataModule(folder, "autoencoding", image_size=16, eval_size=24)
    with pytest.raises(ArgumentError, match=r"eval_size is \(24, 24\), and .* is set by image_size"):
        _ = data.image_size
    tasks: tuple[tuple[Any, str], ...] = (("detection", "shorter and longer"), ("segmentation", "scale"))
    for task, flag in tasks:
        with pytest.raises(ArgumentError, match=f"The size for {task} is set by {flag}"):
            _ = COCODataModule(folder, task, eval_size=24).image_size
    for make in (ShapesDataModule, lambda **options: MNISTDataModule(folder, **options)):
        with pytest.raises(ArgumentError, match=r"eval_size is 24, but \w+ does not resize its images"):
            make(eval_size=24)
    with pytest.raises(ArgumentError, match="eval_size is 0"):
        data_of(folder, eval_size=0)
