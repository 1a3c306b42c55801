import io
import math
import re
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from visiontasks.callbacks.kinds import kind_of
from visiontasks.callbacks.samples import SampleGalleries
from visiontasks.types import ClassificationBatch, ClassificationPredictions, SegmentationBatch, SegmentationPredictions

TASK = SimpleNamespace(kind=None)


def offer(galleries: SampleGalleries, probabilities: torch.Tensor, ids: torch.Tensor) -> None:
    """Offer a batch of images of class 0."""
    count = len(ids)
    both = torch.stack([probabilities, 1 - probabilities], 1)
    scores, labels = both.max(1)
    images = torch.zeros(count, 1, 8, 8, dtype=torch.uint8)
    batch = ClassificationBatch(images, torch.zeros(count, dtype=torch.int64), ids)
    predictions = ClassificationPredictions(both, labels, scores)
    galleries.offer(kind_of(TASK, predictions, batch), predictions, batch)


def shown(galleries: SampleGalleries) -> dict[str, list[int]]:
    drawn = galleries.draw(["no", "yes"], lambda index: f"<{index}>")
    return {
        gallery.title: [int(re.findall(r"<(\d+)>", sample.caption)[0]) for sample in gallery.samples]
        for gallery in drawn
    }


def test_the_best_and_the_worst_are_kept_whatever_the_batches() -> None:
    probabilities, ids = torch.rand(50), torch.randperm(50)
    galleries = SampleGalleries(4)
    for part in torch.arange(50).split(7):
        offer(galleries, probabilities[part], ids[part])
    order = ids[probabilities.argsort(descending=True)].tolist()
    found = shown(galleries)
    assert found["Best 4"] == order[:4]
    assert found["Worst 4"] == order[:-5:-1]
    # What is random depends on the ids only.
    other = SampleGalleries(4)
    offer(other, torch.rand(50), torch.arange(50))
    assert shown(other)["Random 4"] == found["Random 4"]
    assert len(set(found["Random 4"])) == 4


def test_images_without_anything_to_judge_by_are_only_random() -> None:
    galleries = SampleGalleries(2)
    offer(galleries, torch.full((3,), math.nan), torch.arange(3))
    assert list(shown(galleries)) == ["Random 2"]


def test_pictures_of_noise_stay_small_together() -> None:
    galleries = SampleGalleries(50)
    images = torch.randint(256, (10, 3, 200, 300), dtype=torch.uint8)
    masks = torch.randint(3, (10, 200, 300), dtype=torch.uint8)
    sizes, scale = torch.tensor([[200, 300]] * 10), torch.ones(10, 2)
    batch = SegmentationBatch(images, masks, sizes, scale, torch.arange(10))
    predictions = SegmentationPredictions(masks, torch.ones(10, 200, 300))
    galleries.offer(kind_of(TASK, predictions, batch), predictions, batch)
    drawn = galleries.draw(["a", "b", "c"], str)
    assert len(drawn) == 3
    for gallery in drawn:
        for sample in gallery.samples:
            assert len(sample.jpeg) <= 6 * 2**20 / 150
            assert np.asarray(Image.open(io.BytesIO(sample.jpeg))).shape[1] == sample.width
