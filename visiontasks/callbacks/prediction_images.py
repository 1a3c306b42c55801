"""Pictures of predictions, which show progress."""

from typing import Any

from lightning.pytorch import Trainer

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.kinds import kind_of
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.callbacks.ranking import take
from visiontasks.callbacks.wandb_images import wandb_images


class PredictionImages(EvaluationPictures):
    """Shows the first images with their predictions after every validation and test; they are the same every time.

    The pictures are ``predictions/val_epoch_N.png`` and ``predictions/test.png`` in the run folder, and figures in
    TensorBoard. Weights & Biases gets single images whose boxes and masks can be switched on and off. A task of your
    own is drawn by the function ``draw`` of its :class:`~visiontasks.Kind`.

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
        kind = kind_of(task, predictions, batch)
        if kind.draw is None:
            return
        names, count = task.display_names, len(batch.images)
        first, predicted = (take(fields, slice(self.count), count) for fields in (batch, predictions))
        picture = kind.draw(first, predicted, names)
        self.show(f"{stage}/predictions", name, picture, lambda: wandb_images(kind, first, predicted, names))
