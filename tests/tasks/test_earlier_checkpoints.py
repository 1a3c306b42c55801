"""Checkpoints made before still load: those in ``checkpoints/`` were written when a task still was six classes.

Each was written after an epoch of a tiny network on six images of ``ShapesDataModule``, and ``expected.json`` with it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torchmetrics import MeanMetric

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.prediction.checkpoints import load_task

FOLDER = Path(__file__).parent / "checkpoints"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDER / "expected.json").read_text())


def pixels() -> Tensor:
    return (torch.arange(2 * 3 * 16 * 20).reshape(2, 3, 16, 20) * 37 % 251).to(torch.uint8)


def fingerprint(values: Tensor) -> list[float]:
    """Compute a number for each image that depends on every value and its place."""
    flat = values.double().reshape(len(values), -1)
    return (flat * torch.linspace(1, 2, flat.shape[1])).mean(1).tolist()


@pytest.mark.parametrize("name", EXPECTED)
def test_an_earlier_checkpoint_predicts_what_it_did(name: str) -> None:
    task, expected = load_task(FOLDER / f"{name}.ckpt").eval(), EXPECTED[name]
    assert type(task).__name__.lower() == f"{name}task"
    assert (task.class_names, list(task.image_size or ())) == (expected["class_names"], expected["image_size"])
    assert task.normalize.mode == expected["normalization"]
    with torch.no_grad():
        predictions = task.predict(task(pixels()))._asdict()
    found = {field: fingerprint(values) for field, values in predictions.items() if values.is_floating_point()}
    assert found.keys() == expected["predictions"].keys()
    for field, values in found.items():
        assert values == pytest.approx(expected["predictions"][field], rel=1e-4, abs=1e-4)


def test_an_earlier_training_goes_on_as_it_would_have(fit: Callable[..., Trainer]) -> None:
    path, expected = FOLDER / "classification.ckpt", EXPECTED["classification"]
    task = ClassificationTask.load_from_checkpoint(path)
    assert task.decision.temperature.item() == pytest.approx(expected["temperature"])
    batches = [ClassificationBatch(pixels(), torch.tensor([1, label]), torch.arange(2)) for label in (2, 3)]
    trainer = fit(task, batches, path, max_epochs=3)
    assert trainer.global_step == 6
    for name, value in expected["resumed"].items():
        assert trainer.callback_metrics[name].item() == pytest.approx(value, rel=1e-3)


class Weighted(MeanMetric):
    """Keeps a number that belongs to the checkpoint."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(1.0))


def test_weights_of_metrics_are_found_where_they_were_saved(tmp_path: Path) -> None:
    class Metered(ClassificationTask):
        def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of the base
            super().__init__(**kwargs)
            self.add_metrics({"weighted": Weighted()}, stages=("val",))

    checkpoint = torch.load(FOLDER / "classification.ckpt", weights_only=True)
    checkpoint["state_dict"]["val_metrics.weighted.scale"] = torch.tensor(2.0)
    torch.save(checkpoint, tmp_path / "metered.ckpt")
    metric: Any = Metered.load_from_checkpoint(tmp_path / "metered.ckpt").scores.val_metrics["weighted"]
    assert metric.scale == 2
