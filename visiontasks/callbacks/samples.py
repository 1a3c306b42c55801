"""The best, the worst and random samples of a test, as pictures."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import torch

from visiontasks.callbacks.prediction_images import draw
from visiontasks.callbacks.ranking import Ranking
from visiontasks.metrics.sample_quality import SCORE, sample_quality
from visiontasks.report import Gallery, Sample
from visiontasks.types import (
    ClassificationPredictions,
    DetectionPredictions,
    LocalizationPredictions,
    ids_of,
)
from visiontasks.visualization import Picture, label_names, to_pillow

_SIDE = 960
_BYTES = 6 * 2**20
"""Maximum size of all pictures together."""


class SampleGalleries:
    """Keeps a few samples of a test: the same number of best, worst and random ones.

    The random samples are chosen by their ids, so that they are the same in every test on the same data.

    Args:
        count: Number of samples of each kind.

    Attributes:
        quality: Name of the quality measure; empty if there is none for the task.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.quality = ""
        self._rankings = {name: Ranking(count) for name in ("Best", "Worst", "Random")}

    def offer(self, predictions: Any, batch: Any) -> None:
        """Process a batch, and keep samples that belong to the best, the worst or the random ones so far."""
        if not (hasattr(predictions, "_fields") and hasattr(batch, "_fields")):
            return  # cannot be split by images
        judged = sample_quality(predictions, batch)
        count = len(batch.images)
        values = [math.nan] * count if judged is None else judged.values.tolist()
        self.quality = "" if judged is None else judged.name
        keys = {
            "Best": [-value for value in values],
            "Worst": values,
            "Random": [float(crc32(str(number).encode())) for number in ids_of(batch).tolist()],
        }
        for name, ranking in self._rankings.items():
            ranking.offer(keys[name], values, predictions, batch)

    def draw(self, class_names: Sequence[str], name_of: Callable[[int], str]) -> list[Gallery]:
        """Draw the samples that were kept.

        Args:
            class_names: Names of the classes.
            name_of: Returns the name of the image with an id.

        Returns:
            The galleries; none if there is no drawing function for the task.
        """
        galleries = []
        for kind, ranking in self._rankings.items():
            samples = []
            for sample in ranking.kept:
                picture = draw(sample.batch, sample.predictions, list(class_names))
                if picture is None:
                    return []
                texts = [name_of(sample.order[0]), caption(sample.predictions, sample.batch, class_names)]
                if not math.isnan(sample.quality):
                    texts.append(f"quality {sample.quality:.3f}")
                jpeg, width = _jpeg(picture, _BYTES // (3 * self.count))
                samples.append(Sample(jpeg, " · ".join(filter(None, texts)), width))
            if samples:
                galleries.append(Gallery(f"{kind} {len(samples)}", samples))
        return galleries


def _jpeg(picture: Picture, most: int) -> tuple[bytes, int]:
    """Encode a picture in at most ``most`` bytes, with lower quality or size if needed; return it and its width."""
    image = to_pillow(picture)
    image.thumbnail((_SIDE, _SIDE))
    while True:
        for quality in (85, 70, 50):
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=quality)
            content = stream.getvalue()
            if len(content) <= most:
                return content, image.width
        image = image.reduce(2)


def caption(predictions: Any, batch: Any, names: Sequence[str]) -> str:
    """Describe the prediction for one image, and the true annotation if it differs; empty for masks.

    Args:
        predictions: The predictions of the image.
        batch: The image.
        names: Names of the classes.
    """
    if isinstance(predictions, ClassificationPredictions | LocalizationPredictions):
        found, truth, score = predictions.labels[0], batch.labels[0], predictions.scores[0]
        certain = "" if found.ndim else f" {score:.2f}"
        same = torch.equal(found.long(), truth.long())
        return f"{label_names(found, names)}{certain}" + ("" if same else f", true: {label_names(truth, names)}")
    if isinstance(predictions, DetectionPredictions):
        objects = int(((batch.labels[0] >= 0) & ~batch.ignore[0]).sum())
        return f"{objects} annotated, {int((predictions.scores[0] >= SCORE).sum())} found"
    return ""
