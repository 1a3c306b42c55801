import io
import math
import re
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image

from visiontasks.callbacks import samples
from visiontasks.callbacks.kinds import kind_of
from visiontasks.callbacks.samples import SampleGalleries
from visiontasks.kinds import Kind
from visiontasks.report import Gallery
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


def draw(galleries: SampleGalleries) -> list[Gallery]:
    return galleries.draw(["no", "yes"], lambda index: f"#{index}")


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


def test_a_caption_has_name_prediction_and_quality_and_large_pictures_are_reduced() -> None:
    galleries = SampleGalleries(2)
    images = torch.randint(256, (3, 3, 1200, 40), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 0])
    batch = ClassificationBatch(images, labels, torch.arange(3))
    probabilities = torch.tensor([[0.9, 0.1], [0.75, 0.25], [0.6, 0.4]])
    predictions = ClassificationPredictions(probabilities, torch.zeros(3, dtype=torch.int64), probabilities[:, 0])
    galleries.offer(kind_of(TASK, predictions, batch), predictions, batch)
    captions = {gallery.title: [sample.caption for sample in gallery.samples] for gallery in draw(galleries)}
    assert captions["Best 2"] == ["#0 · no 0.90 · quality 0.900", "#2 · no 0.60 · quality 0.600"]
    assert captions["Worst 2"][0] == "#1 · no 0.75, true: yes · quality 0.250"
    heights = {
        np.asarray(Image.open(io.BytesIO(sample.jpeg))).shape[0] for one in draw(galleries) for sample in one.samples
    }
    assert max(heights) <= 960
    assert galleries.quality == "probability of the true class"


def test_quality_is_lowered_before_size() -> None:
    noise = torch.randint(256, (3, 400, 400), dtype=torch.uint8)
    jpegs = [samples._jpeg(noise, most) for most in (10**9, 100_000, 40_000)]
    assert [width for _, width in jpegs] == [400, 400, 200]
    assert len(jpegs[0][0]) > 100_000 >= len(jpegs[1][0]) > 40_000 >= len(jpegs[2][0])


def test_what_is_not_drawn_is_not_kept() -> None:
    galleries = SampleGalleries(2)
    batch = ClassificationBatch(torch.zeros(1, 1, 8, 8), torch.tensor([0]), torch.tensor([0]))
    predictions = ClassificationPredictions(torch.eye(2)[:1], torch.tensor([0]), torch.ones(1))
    galleries.offer(Kind(), predictions, batch)
    assert draw(galleries) == []
