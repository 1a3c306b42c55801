"""Pictures of predictions, which show progress."""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.callbacks.wandb_images import wandb_images
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


class PredictionImages(EvaluationPictures):
    """Shows the first images with their predictions after every validation and test; they are the same every time.

    The pictures are ``predictions/val_epoch_N.png`` and ``predictions/test.png`` in the run folder, and figures in
    TensorBoard. Weights & Biases gets single images whose boxes and masks can be switched on and off.

    Args:
        count: Number of images in the picture; 0 for no picture.
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.
    """

    title = "predictions"

    def __init__(self, count: int = 32, keep: Keep = KEPT) -> None:
        super().__init__(keep)
        self.count = count

    def look(
        self, trainer: Trainer, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str
    ) -> None:
        """Draw the first batch."""
        if index or not self.count or not self.shows(trainer):
            return
        if not (hasattr(predictions, "_fields") and hasattr(batch, "_fields")):
            return
        names = task.display_names
        count = len(batch.images)
        first, predictions = (take(fields, slice(self.count), count) for fields in (batch, predictions))
        picture = draw(first, predictions, names)
        if picture is not None:
            self.show(f"{stage}/predictions", name, picture, lambda: wandb_images(first, predictions, names))


def draw(batch: Any, predictions: Any, class_names: Sequence[str]) -> Picture | None:
    """Draw a batch with its predictions, both on the CPU; None if there is no drawing function for them."""
    for batches, found, drawing in _DRAWN:
        if isinstance(batch, batches) and isinstance(predictions, found):
            return drawing(batch, predictions, class_names)
    return None


def take(fields: Any, places: slice, count: int) -> Any:
    """Copy the fields of some images to the CPU, so that the rest can be freed.

    Args:
        fields: A batch, or its predictions.
        places: Which images.
        count: Number of images in the batch.
    """

    def part(field: Any) -> Any:
        if isinstance(field, Tensor) and field.ndim and len(field) == count:
            return field[places].detach().to("cpu", copy=True)
        return field

    return type(fields)(*(part(field) for field in fields))
