"""Pictures of what a backbone has learned to see."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from visiontasks.visualization import Picture, draw_activations, draw_filters, first_convolution


class FilterImages(Callback):
    """Writes the filters of the first convolution, and the feature maps of one image, after every validation.

    The pictures are ``filters/epoch_N.png`` and ``filters/activations_epoch_N.png`` in the run folder. On the command
    line: ``--trainer.callbacks+=visiontasks.callbacks.filters.FilterImages``.

    Args:
        image: The image whose feature maps are drawn, shape [C, H, W], uint8 in 0 to 255 or float in 0 to 1; by default
            the first one of the validation split.
        count: Channels of a feature map that are drawn, the strongest ones.
    """

    def __init__(self, image: Tensor | None = None, count: int = 16) -> None:
        self.image = image
        self.count = count
        self._folder: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; asking the Trainer for it is a matter of all processes."""
        self._folder = Path(trainer.log_dir) / "filters" if trainer.logger and trainer.log_dir else None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw after the first batch of a validation."""
        if batch_idx or trainer.sanity_checking or not trainer.is_global_zero or self._folder is None:
            return
        task: Any = pl_module
        images = task.as_batch(batch).images[:1] if self.image is None else self.image[None].to(pl_module.device)
        if not len(images):
            return
        with torch.no_grad():
            features = task.backbone(task.normalize(images))
        filters = draw_filters(first_convolution(task.backbone).weight)
        self._write(filters, f"epoch_{trainer.current_epoch}")
        activations = draw_activations([feature[0] for feature in features], images[0], self.count)
        self._write(activations, f"activations_epoch_{trainer.current_epoch}")

    def _write(self, picture: Picture, name: str) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(self._folder / f"{name}.png")
