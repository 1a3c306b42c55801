"""Segmentation at a reduced size by one argument of the data, from training to masks of files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch import Trainer

from tests.data.datamodules.image_sets import write_masks
from visiontasks import MaskFolderDataModule, SegmentationTask
from visiontasks.data.datasets.shapes import CLASS_NAMES
from visiontasks.export import export_task
from visiontasks.prediction import create_predictor, predict_images
from visiontasks.tasks.task import Task

NAMES = ("ground", *CLASS_NAMES)
OPTIONS: dict[str, Any] = {"backbone_options": {"filters": [4, 8]}, "decoder": "fcn", "normalization": "unit"}
FEW: dict[str, Any] = {"limit_train_batches": 1, "max_epochs": 1, "num_sanity_val_steps": 0}


def data_of(root: Path, **options: Any) -> MaskFolderDataModule:  # noqa: ANN401 - arguments of the data module
    return MaskFolderDataModule(root, class_names=NAMES, batch_size=3, image_size=16, num_workers=0, **options)


class Seeing(SegmentationTask):
    """Notes the sizes of the images that its network sees."""

    seen: list[tuple[int, int]]

    def forward(self, images: Any) -> Any:  # noqa: ANN401 - as in the base
        self.seen.append((images.shape[-2], images.shape[-1]))
        return super().forward(images)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_masks(tmp_path / "data", 4)
    return tmp_path / "data"


@pytest.fixture
def fitted(root: Path, make_trainer: Callable[..., Trainer]) -> Callable[..., Seeing]:
    """Train for a step, by a task that notes what it sees in the validation."""

    def fit(scale: float, **options: Any) -> Seeing:  # noqa: ANN401 - arguments of the task
        torch.manual_seed(0)
        task = Seeing(5, **OPTIONS, **options)
        task.seen = []
        make_trainer(**FEW).fit(task, data_of(root, scale=scale))
        return task

    return fit


def test_the_network_sees_crops_and_whole_images_at_the_scale(fitted: Callable[..., Seeing]) -> None:
    crop, *whole = fitted(0.5).seen
    assert crop == (16, 16)
    assert sorted({*whole}) == [(20, 28), (24, 24), (28, 20)]  # of 40 x 56, 48 x 48 and 56 x 40 pixels


def test_scores_are_of_the_original_masks(fitted: Callable[..., Seeing], root: Path) -> None:
    """By hand: each image is reduced, its probabilities enlarged, and every pixel of its mask counted."""
    task = fitted(0.5)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    scored = trainer.test(task, data_of(root, scale=0.5), verbose=False)[0]
    data = data_of(root)
    data.setup("test")
    task.eval()
    losses, right, counted = [], 0, 0
    with torch.inference_mode():
        for number in range(len(data.test_set)):
            sample: Any = data.test_set[number]  # type: ignore[index]  # of files
            mask = sample.masks.long()
            half = [side // 2 for side in mask.shape]
            small = F.interpolate(sample.images[None] / 255, half, mode="bilinear", antialias=True)
            shown = F.interpolate(Task.__call__(task, small).softmax(1), tuple(mask.shape), mode="bilinear")
            losses.append(F.nll_loss(shown.log(), mask[None], ignore_index=255).item())
            right += int((shown.argmax(1)[0] == mask).sum())
            counted += int((mask != 255).sum())
    assert scored["test/accuracy"] == pytest.approx(right / counted, abs=2e-4)
    assert scored["test/loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_the_checkpoint_remembers_it_and_masks_have_the_size_of_the_file(
    fitted: Callable[..., Seeing], root: Path, tmp_path: Path
) -> None:
    fitted(0.5).trainer.save_checkpoint(tmp_path / "a.ckpt")
    task = SegmentationTask.load_from_checkpoint(tmp_path / "a.ckpt")
    assert task.evaluation_scales == (0.5,)
    file = root / "images" / "val" / "0.png"
    (prediction,) = predict_images(task, file)
    assert prediction.mask is not None
    assert prediction.mask.shape == prediction.size == (40, 56)
    # The scales of a predictor are factors of it, and a size that is given replaces it.
    assert create_predictor(task, scales=[1, 2]).forward_options == {"scales": (0.5, 1.0)}
    assert create_predictor(task, scales=[1]).forward_options == {}
    assert create_predictor(task, image_size=24).forward_options == {"scales": (1.0,)}
    whole = fitted(1.0)
    assert whole.evaluation_scales == (1.0,)
    assert whole.view == {"policy": "Whole", "multiple": 1}


@pytest.mark.unchecked
def test_an_exported_program_sees_them_at_the_scale_too(fitted: Callable[..., Seeing], tmp_path: Path) -> None:
    fitted(0.5).trainer.save_checkpoint(tmp_path / "a.ckpt")
    task = SegmentationTask.load_from_checkpoint(tmp_path / "a.ckpt")
    done = export_task(task, tmp_path / "a.pt2", (40, 56))
    assert done.metadata["scale"] == 0.5
    assert done.differences == {"labels": 0, "scores": pytest.approx(0, abs=1e-5)}


def test_scales_of_the_task_are_factors_of_it(fitted: Callable[..., Seeing]) -> None:
    task = fitted(0.5, test_time_scales=(1.0, 2.0))
    assert task.evaluation_scales == (0.5, 1.0)
    assert {side for size in task.seen[1:] for side in size} == {20, 24, 28}, "a fit validates with the first"


def test_a_batch_holds_no_more_pixels_than_is_allowed_and_the_scores_stay(
    fitted: Callable[..., Seeing], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, data = fitted(1.0), data_of(root)
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    data.setup("test")
    assert [len(batch.ids) for batch in data.test_dataloader()] == [3, 1]
    together = trainer.test(task, data, verbose=False)[0]
    monkeypatch.setattr("visiontasks.data.loading.samplers.BATCH_PIXELS", 2 * 56 * 56)
    assert [len(batch.ids) for batch in data.test_dataloader()] == [2, 2]
    assert trainer.test(task, data, verbose=False)[0] == pytest.approx(together, rel=1e-6, nan_ok=True)
    data.setup("fit")
    assert [len(batch.ids) for batch in data.unaugmented_dataloader(3)] == [2, 1]
    monkeypatch.setattr("visiontasks.data.loading.samplers.BATCH_PIXELS", 1)
    assert [len(batch.ids) for batch in data.val_dataloader()] == [1, 1, 1, 1]
