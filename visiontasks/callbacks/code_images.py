"""Pictures of the codes of an autoencoder."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from visiontasks.callbacks.evaluation_files import KEPT, Keep
from visiontasks.callbacks.pictures import EvaluationPictures
from visiontasks.types import labels_of
from visiontasks.visualization import code_map, draw_interpolation, grid

_STEPS = 8


class CodeImages(EvaluationPictures):
    """Shows pictures of codes after every validation.

    In the run folder, ``codes/map_epoch_N.png`` shows the codes of validation images in the plane of their first two
    principal components, coloured by class if known; ``codes/between_epoch_N.png`` shows interpolations between the
    codes of two images; and ``codes/samples_epoch_N.png``, for a variational autoencoder, shows randomly drawn images.
    On the command line: ``--trainer.callbacks+=visiontasks.callbacks.CodeImages``.

    Args:
        points: Maximum number of codes in the map, taken from the first images.
        pairs: Number of image pairs, the first ones, between whose codes to interpolate.
        samples: Number of images drawn at random, from the same noise every time.
        keep: How many validations of a training keep their pictures, besides the newest and the best; ``"all"`` for
            all of them.
    """

    title = "codes"

    def __init__(self, points: int = 2000, pairs: int = 4, samples: int = 32, keep: Keep = KEPT) -> None:
        super().__init__(keep)
        self.points = points
        self.pairs = pairs
        self.samples = samples
        self.begin()

    def begin(self) -> None:
        """Start without codes."""
        self._codes: list[Tensor] = []
        self._labels: list[Tensor] = []

    def look(
        self, trainer: Trainer, task: Any, predictions: Any, batch: Any, index: int, stage: str, name: str
    ) -> None:
        """Keep the codes of a batch; after the first one draw interpolations and samples."""
        if stage != "val" or not self.shows(trainer):
            return
        if sum(map(len, self._codes)) < self.points:
            codes = predictions.codes.flatten(2).mean(2) if predictions.codes.ndim == 4 else predictions.codes
            self._codes.append(codes.cpu())
            self._labels.append(labels_of(batch).cpu())
        if index == 0 and len(batch.images) > 1:
            epoch, size = trainer.current_epoch, tuple(predictions.images.shape[-2:])
            pairs = min(self.pairs, len(batch.images) // 2)
            one, other = predictions.codes[: 2 * pairs : 2, None], predictions.codes[1 : 2 * pairs : 2, None]
            share = torch.linspace(0, 1, _STEPS, device=one.device).view(1, -1, *[1] * (one.ndim - 2))
            between = torch.lerp(one, other, share).flatten(0, 1)
            with torch.no_grad():
                images = task.decode(between, size).cpu().unflatten(0, (pairs, _STEPS))
            self.show("codes/between", f"between_epoch_{epoch}", draw_interpolation(images))
            if task.variational:
                # The same noise every time, without changing the random numbers of training. By default, fork_rng
                # initialises all GPUs of the machine, which other processes use.
                devices = [task.device] if task.device.type == "cuda" else []
                with torch.no_grad(), torch.random.fork_rng(devices):
                    torch.manual_seed(0)
                    samples = task.sample(self.samples, size).cpu()
                picture = grid(list(samples), [""] * len(samples))
                self.show("codes/samples", f"samples_epoch_{epoch}", picture)

    def finish(self, trainer: Trainer, task: Any, stage: str, name: str) -> None:
        """Draw the map of the codes, then discard them."""
        codes, labels = self._codes, self._labels
        self.begin()
        if sum(map(len, codes)) < 2:
            return
        names = task.class_names if (torch.cat(labels) >= 0).any() else None
        picture = code_map(torch.cat(codes)[: self.points], torch.cat(labels)[: self.points], names or ())
        self.show("codes/map", f"map_epoch_{trainer.current_epoch}", picture)
