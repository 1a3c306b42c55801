"""One predictor in many threads, as in a service: results are those of one call after the other."""

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import nn

from tests.prediction.small_tasks import NAMES, TASKS, write_pictures
from visiontasks import ClassificationTask
from visiontasks.backbones import WrappedBackbone
from visiontasks.data.images.reading import read_image
from visiontasks.embedding.embedder import Embedder
from visiontasks.prediction import Prediction, create_predictor, predict_images

THREADS = 8
WITHIN: dict[str, Any] = {"policy": "Within", "shorter": 32, "longer": 48, "multiple": 32}


def wrapped() -> ClassificationTask:
    network = nn.Sequential(
        *(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
    )
    return ClassificationTask(3, NAMES, backbone=WrappedBackbone(network, ["2", "4"]), image_size=(20, 24))


def same(one: Prediction, other: Prediction) -> bool:
    if (one.mask is None) != (other.mask is None) or (one.code is None) != (other.code is None):
        return False
    masks = one.mask is None or other.mask is None or torch.equal(one.mask, other.mask)
    numbers = [
        (*each.scores, *(each.code or ()), *(value for box in each.boxes or () for value in box))
        for each in (one, other)
    ]
    return one.labels == other.labels and masks and numbers[0] == pytest.approx(numbers[1], abs=1e-4)


@pytest.mark.parametrize("kind", [*TASKS, "wrapped"])
def test_many_threads_get_what_one_gets(kind: str, tmp_path: Path) -> None:
    files = [file for file in write_pictures(tmp_path) if file.name not in {"half.jpg", "text.jpg"}]
    task: Any = wrapped() if kind == "wrapped" else TASKS[kind]()
    if kind in ("detection", "instances"):
        task.view = WITHIN
    if kind == "segmentation":
        # Every class occurs.
        *_, bias = (value for value in task.decoder.parameters() if value.shape == (3,))
        bias.data.sub_(task.eval()(read_image(files[0])[None]).mean((0, 2, 3)))
    predictor = create_predictor(task, device="cpu")
    contents = [file.read_bytes() for file in files]
    expected = [next(predict_images(predictor, content)) for content in contents]
    assert len({one.scores or one.code for one in expected}) > 1
    barrier = Barrier(THREADS)

    def serve(thread: int) -> list[int]:
        order = random.Random(thread).choices(range(len(contents)), k=12)
        barrier.wait()
        return [index for index in order if not same(next(predict_images(predictor, contents[index])), expected[index])]

    with ThreadPoolExecutor(THREADS) as pool:
        wrong = list(pool.map(serve, range(THREADS)))
    assert wrong == [[]] * THREADS


def test_many_threads_encode_as_one(tmp_path: Path) -> None:
    files = [file for file in write_pictures(tmp_path) if file.name not in {"half.jpg", "text.jpg"}]
    embedder = Embedder(wrapped(), "cpu")
    expected, _ = embedder.embed(files, batch_size=1)
    with ThreadPoolExecutor(THREADS) as pool:
        for found, _ in pool.map(lambda _: embedder.embed(files, batch_size=1), range(2 * THREADS)):
            torch.testing.assert_close(found.codes, expected.codes)
