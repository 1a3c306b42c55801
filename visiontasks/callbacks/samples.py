"""The best, the worst and random samples of a test, as pictures."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

from visiontasks.callbacks.kinds import caption
from visiontasks.callbacks.ranking import Ranking
from visiontasks.kinds import Kind
from visiontasks.report import Gallery, Sample
from visiontasks.types import ids_of
from visiontasks.visualization import Picture, to_pillow

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
        self._kind = Kind()
        self._rankings = {name: Ranking(count) for name in ("Best", "Worst", "Random")}

    def offer(self, kind: Kind, predictions: Any, batch: Any) -> None:
        """Process a batch, and keep samples that belong to the best, the worst or the random ones so far.

        Args:
            kind: What shows the predictions; nothing is kept if it does not draw them.
            predictions: The predictions of the batch.
            batch: The batch.
        """
        if kind.draw is None:
            return
        self._kind = kind
        values = [math.nan] * len(batch.images)
        if kind.quality is not None:
            self.quality, judged = kind.quality(batch, predictions)
            values = judged.tolist()
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
        draw = self._kind.draw
        for title, ranking in self._rankings.items():
            samples = []
            for sample in ranking.kept:
                assert draw is not None
                picture = draw(sample.batch, sample.predictions, list(class_names))
                text = caption(self._kind, sample.batch, sample.predictions, class_names)
                texts = [name_of(sample.order[0]), text]
                if not math.isnan(sample.quality):
                    texts.append(f"quality {sample.quality:.3f}")
                jpeg, width = _jpeg(picture, _BYTES // (3 * self.count))
                samples.append(Sample(jpeg, " · ".join(filter(None, texts)), width))
            if samples:
                galleries.append(Gallery(f"{title} {len(samples)}", samples))
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
