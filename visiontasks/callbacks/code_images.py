"""Pictures of the codes of an autoencoder."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from torch import Tensor

from visiontasks.visualization import Picture, code_map, draw_interpolation, grid

_STEPS = 8


class CodeImages(Callback):
    """Writes pictures of codes after every validation.

    They are in the run folder: ``codes/map_epoch_N.png`` has the codes of validation images in the plane of their two
    principal components, in the colours of their classes where these are known; ``codes/between_epoch_N.png`` what lies
    between the codes of two images; and for a variational autoencoder ``codes/samples_epoch_N.png`` images drawn at
    random. On the command line: ``--trainer.callbacks+=visiontasks.callbacks.code_images.CodeImages``.

    Args:
        points: Most codes in the map, those of the first images.
        pairs: Pairs of images, the first ones, between whose codes images are drawn.
        samples: Images that are drawn at random, from the same numbers every time.
    """

    def __init__(self, points: int = 2000, pairs: int = 4, samples: int = 32) -> None:
        self.points = points
        self.pairs = pairs
        self.samples = samples
        self._folder: Path | None = None
        self._codes: list[Tensor] = []
        self._labels: list[Tensor] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find the run folder; asking the Trainer for it is a matter of all processes."""
        self._folder = Path(trainer.log_dir) / "codes" if trainer.logger and trainer.log_dir else None

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the codes of a batch; draw after the first one what lies between."""
        if trainer.sanity_checking or not trainer.is_global_zero or self._folder is None or not len(batch.images):
            return
        task: Any = pl_module
        epoch = trainer.current_epoch
        if sum(map(len, self._codes)) < self.points:
            codes = outputs.codes.flatten(2).mean(2) if outputs.codes.ndim == 4 else outputs.codes
            labels = getattr(task.as_batch(batch), "labels", None)
            if not isinstance(labels, Tensor) or labels.ndim != 1:
                labels = torch.full((len(codes),), -1)
            self._codes.append(codes.cpu())
            self._labels.append(labels.cpu())
        if batch_idx == 0 and len(batch.images) > 1:
            size = (outputs.logits.shape[-2], outputs.logits.shape[-1])
            pairs = min(self.pairs, len(batch.images) // 2)
            one, other = outputs.codes[: 2 * pairs : 2, None], outputs.codes[1 : 2 * pairs : 2, None]
            share = torch.linspace(0, 1, _STEPS, device=one.device).view(1, -1, *[1] * (one.ndim - 2))
            between = torch.lerp(one, other, share).flatten(0, 1)
            with torch.no_grad():
                images = task.decode(between, size).cpu().unflatten(0, (pairs, _STEPS))
            self._write(draw_interpolation(images), f"between_epoch_{epoch}")
            if task.variational:
                # The same numbers every time, and none that the training would have drawn.
                with torch.no_grad(), torch.random.fork_rng():
                    torch.manual_seed(0)
                    samples = task.sample(self.samples, size).cpu()
                self._write(grid(list(samples), [""] * len(samples)), f"samples_epoch_{epoch}")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the map of the codes, and forget them."""
        codes, labels = self._codes, self._labels
        self._codes, self._labels = [], []
        if sum(map(len, codes)) < 2:
            return
        task: Any = pl_module
        names = task.class_names if (torch.cat(labels) >= 0).any() else None
        picture = code_map(torch.cat(codes)[: self.points], torch.cat(labels)[: self.points], names or ())
        self._write(picture, f"map_epoch_{trainer.current_epoch}")

    def _write(self, picture: Picture, name: str) -> None:
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(self._folder / f"{name}.png")
