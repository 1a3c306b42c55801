"""Pictures of the filters and feature maps of a backbone."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.visualization import draw_activations, draw_filters, first_convolution


class FilterImages(EvaluationPictures):
    """Writes the filters of the first convolution, and the feature maps of one image, after every validation.

    The pictures are ``filters/epoch_N.png`` and ``filters/activations_epoch_N.png`` in the run folder. On the command
    line: ``--trainer.callbacks+=visiontasks.callbacks.FilterImages``.

    Args:
        image: The image whose feature maps are drawn, shape [C, H, W], uint8 in 0 to 255 or float in 0 to 1; by default
            the first one of the validation split.
        count: Maximum number of channels of a feature map to draw, the strongest ones.
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.
    """

    title = "filters"

    def __init__(self, image: Tensor | None = None, count: int = 16, keep: Keep = KEPT) -> None:
        super().__init__(keep)
        self.image = image
        self.count = count

    def look(
        self, trainer: Trainer, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str
    ) -> None:
        """Draw after the first batch of a validation."""
        if index or stage != "val" or not self.shows(trainer):
            return
        images = batch.images[:1] if self.image is None else self.image[None].to(task.device)
        with torch.no_grad():
            features = task.backbone(task.normalize(images))
        filters = draw_filters(first_convolution(task.backbone).weight)
        self.show("filters/first", f"epoch_{trainer.current_epoch}", filters)
        activations = draw_activations([feature[0] for feature in features], images[0], self.count)
        self.show("filters/activations", f"activations_epoch_{trainer.current_epoch}", activations)
