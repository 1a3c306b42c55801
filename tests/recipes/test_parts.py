"""The parts that recipes define themselves."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from visiontasks import SegmentationBatch, SegmentationTask

RECIPES = Path(__file__).parents[2] / "recipes"


def parts_of(recipe: str) -> dict[str, Any]:
    return runpy.run_path(str(RECIPES / f"{recipe}.py"), run_name=recipe)


def test_a_pixel_has_the_logits_of_the_patch_around_it() -> None:
    patch_task = parts_of("patch_segmentation")["PatchTask"]
    task: SegmentationTask = patch_task(
        3, patch=9, train_step=4, normalization="unit", backbone_options={"filters": [4, 6], "depth": 1}
    ).eval()
    images = torch.rand(2, 3, 12, 16)
    with torch.no_grad():
        logits = task(images)
        padded = F.pad(task.normalize(images), (4, 4, 4, 4), mode="reflect")
        for top, left in ((0, 0), (5, 9), (11, 15)):
            expected = task.head(task.backbone(padded[..., top : top + 9, left : left + 9]))  # type: ignore[operator]
            torch.testing.assert_close(logits[..., top, left], expected)
    # Training takes every fourth pixel, from the third on, and its loss is of these.
    masks = torch.randint(3, (2, 12, 16), dtype=torch.uint8)
    batch = SegmentationBatch(images, masks, torch.tensor([[12, 16]] * 2), torch.ones(2, 2), torch.arange(2))
    task.train()
    chosen = logits[..., 2::4, 2::4]
    (loss,) = task.losses(chosen, batch).values()
    torch.testing.assert_close(loss, F.cross_entropy(chosen, masks[:, 2::4, 2::4].long()))
    assert task(images).shape == chosen.shape


def test_labels_are_drawn_evenly_and_by_the_seed() -> None:
    choose = parts_of("label_efficiency")["choose"]
    labels = torch.arange(200) % 10
    first, again, other = choose(labels, 30, 0), choose(labels, 30, 0), choose(labels, 30, 1)
    assert torch.bincount(labels[first]).tolist() == [3] * 10
    assert len(first.unique()) == 30
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert choose(labels, 200, 0).tolist() == list(range(200))


def test_accuracies_are_kept_by_their_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    measured_type = parts_of("label_efficiency")["Measured"]
    measured = measured_type(tmp_path / "a.csv", "steps 3", seeds=2)
    for seed, accuracy in ((0, 0.5), (1, 0.25), (2, 0.75)):
        measured.add("linear", 10, seed, lambda accuracy=accuracy: accuracy)
    measured.add("linear", 10, 0, lambda: pytest.fail("it is known"))
    assert measured.of("linear", 10) == [0.5, 0.25]  # of the seeds that were asked for
    again = measured_type(tmp_path / "a.csv", "steps 3", seeds=3)
    assert again.of("linear", 10) == [0.5, 0.25, 0.75]
    assert measured_type(tmp_path / "a.csv", "steps 4", seeds=3).lacks("linear", 10, 0)
    assert capsys.readouterr().out.splitlines()[0] == "linear, 10 labels, seed 0: 0.5000"


def test_a_study_of_labels_evaluates_once_at_its_end() -> None:
    parts = parts_of("label_efficiency")
    options = parts["parse"](["--cpu", "--root", "somewhere", "--labels", "20", "--split", "test"])
    assert (options.root, options.labels, options.split, options.seeds) == (Path("somewhere"), [20], "test", 5)
    trainer = parts["make_trainer"](options, max_steps=7, max_epochs=-1)
    assert (trainer.max_steps, trainer.max_epochs, trainer.check_val_every_n_epoch) == (7, -1, 1_000_000)
    assert (trainer.num_sanity_val_steps, trainer.loggers, trainer.checkpoint_callback) == (0, [], None)
    assert parts["ways"]("plain", all_labels=True) == ["plain, linear", "plain, k-NN", "plain, fine-tuned"]
