"""Pictures of predictions, so that progress can be seen."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from visiontasks.types import (
    AutoencodingPredictions,
    ClassificationBatch,
    ClassificationPredictions,
    DetectionBatch,
    DetectionPredictions,
    LocalizationBatch,
    LocalizationPredictions,
    ProposalBatch,
    SegmentationBatch,
    SegmentationPredictions,
)
from visiontasks.visualization import (
    Picture,
    draw_classification,
    draw_detections,
    draw_localization,
    draw_reconstructions,
    draw_segmentation,
)

_DRAWN: tuple[tuple[Any, Any, Callable[..., Picture]], ...] = (
    (ClassificationBatch, ClassificationPredictions, draw_classification),
    (LocalizationBatch, LocalizationPredictions, draw_localization),
    (DetectionBatch | ProposalBatch, DetectionPredictions, draw_detections),
    (SegmentationBatch, SegmentationPredictions, draw_segmentation),
    (tuple, AutoencodingPredictions, draw_reconstructions),
)


class PredictionImages(Callback):
    """Writes a picture of the first images with their predictions after every validation and test.

    The pictures are ``predictions/val_epoch_N.png`` and ``predictions/test.png`` in the run folder; the images are
    the same every time.

    Args:
        count: Images in the picture.
    """

    def __init__(self, count: int = 32) -> None:
        self.count = count
        self._folder: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; asking the Trainer for it is a matter of all processes."""
        self._folder = Path(trainer.log_dir) / "predictions" if trainer.logger and trainer.log_dir else None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch of a validation."""
        if batch_idx == 0 and not trainer.sanity_checking:
            self._draw(trainer, pl_module, batch, f"val_epoch_{trainer.current_epoch}")

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first batch of a test."""
        if batch_idx == 0:
            self._draw(trainer, pl_module, batch, "test")

    def _draw(self, trainer: Trainer, task: Any, batch: Any, name: str) -> None:
        if not trainer.is_global_zero or self._folder is None:
            return
        batch = task.as_batch(batch)
        first = type(batch)(*(field[: self.count] if isinstance(field, Tensor) else field for field in batch))
        with torch.no_grad():
            predictions = task.predict(task.infer(*task.inputs(first)))
        picture = draw(first, predictions, task.class_names)
        if picture is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(self._folder / f"{name}.png")


def draw(batch: Any, predictions: Any, class_names: list[str] | None) -> Picture | None:
    """Draw a batch with its predictions; None when nothing is known of how."""
    for batches, found, drawing in _DRAWN:
        if isinstance(batch, batches) and isinstance(predictions, found):
            names = class_names or [str(index) for index in range(1000)]
            on_cpu = [type(fields)(*(field.cpu() for field in fields)) for fields in (batch, predictions)]
            return drawing(*on_cpu, names)
    return None
