"""The code of an image by any network."""

from collections.abc import Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor

from visiontasks.heads.code import embedding
from visiontasks.prediction.image_predictor import Fields, ImagePredictor, Sample
from visiontasks.tasks.autoencoding import AutoencodingTask
from visiontasks.tasks.task import Task


class EmbeddingPredictor(ImagePredictor):
    """Codes of images: those of an autoencoder, of any other task the pooled features of its backbone.

    Only images of the same size are encoded together, without padding, on which a code would depend.
    """

    task: Task

    @torch.inference_mode()
    def predict(self, samples: Sequence[Sample]) -> list[Fields]:
        """Encode prepared images."""
        fields: list[Fields] = []
        for _, group in groupby(samples, lambda sample: sample.window.size):
            images = torch.stack([sample.prepared.images for sample in group])
            codes = encode(self.task, images.to(self.task.device)).cpu()
            fields += [{"code": tuple(code)} for code in codes.tolist()]
        return fields


def encode(task: Task, images: Tensor) -> Float[Tensor, "batch code"]:
    """Encode images.

    Args:
        task: The task.
        images: Images of one size, shape [B, C, H, W], as a batch of the task has them.

    Returns:
        An autoencoder's codes, those that are maps averaged over their positions; of any other task the coarsest
        feature map of its backbone, averaged likewise.
    """
    if isinstance(task, AutoencodingTask):
        return embedding(task.encode(images)).float()
    return embedding(task.backbone(task.normalize(images))[-1]).float()
