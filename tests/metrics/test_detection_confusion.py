import numpy as np
import torch

from tests.metrics.detection_sets import as_batches, random_setting
from visiontasks.metrics.detection_confusion import DetectionConfusion
from visiontasks.types import DetectionBatch, DetectionPredictions


def test_objects_are_counted_by_what_they_are_found_as() -> None:
    square = torch.tensor([0.0, 0, 10, 10])
    boxes = torch.stack([square, square + 20, square + 40, square + 60])[None]
    batch = DetectionBatch(
        torch.zeros(1, 3, 1, 1, dtype=torch.uint8),
        boxes,
        torch.tensor([[0, 1, 1, 0]]),
        torch.tensor([[False, False, False, True]]),
        torch.ones(1, 2, dtype=torch.int64),
        torch.ones(1, 2),
        torch.tensor([0]),
        torch.full((1, 4), 100.0),
    )
    predictions = DetectionPredictions(
        # One beside the first object and one on it, of another class; one on the second; one on the ignored object;
        # one on nothing; an unlikely one on the third.
        torch.stack([square + 3, square + 1, square + 20, square + 61, square + 100, square + 40])[None],
        torch.tensor([[0.9, 0.8, 0.7, 0.9, 0.6, 0.1]]),
        torch.tensor([[0, 1, 1, 0, 0, 1]]),
    )
    confusion = DetectionConfusion(2)
    confusion.update(predictions, batch)
    # Rows are objects, columns what they were found as; the last is background.
    assert confusion.compute().tolist() == [[0, 1, 0], [0, 1, 1], [2, 0, 0]]


def test_what_is_found_in_a_crowd_is_not_background() -> None:
    crowd = torch.tensor([0.0, 0, 100, 100])
    batch = DetectionBatch(
        torch.zeros(1, 3, 1, 1, dtype=torch.uint8),
        crowd[None, None],
        torch.tensor([[0]]),
        torch.tensor([[True]]),
        torch.ones(1, 2, dtype=torch.int64),
        torch.ones(1, 2),
        torch.tensor([0]),
        torch.full((1, 1), 1e4),
    )
    # Two of its members, one of them at its border, and one outside.
    boxes = torch.tensor([[[10.0, 10, 20, 20], [94, 40, 104, 50], [96, 40, 106, 50]]])
    confusion = DetectionConfusion(1)
    confusion.update(DetectionPredictions(boxes, torch.full((1, 3), 0.9), torch.zeros(1, 3, dtype=torch.int64)), batch)
    assert confusion.compute().tolist() == [[0, 0], [1, 0]]


def test_every_object_and_every_likely_detection_is_counted() -> None:
    for seed in range(20):
        setting = random_setting(seed)
        confusion = DetectionConfusion(setting.classes)
        for predictions, batch in as_batches(setting, list(range(setting.images))):
            confusion.update(predictions, batch)
        counts = confusion.compute().numpy()
        objects = np.bincount(setting.objects.labels[~setting.objects.ignore], minlength=setting.classes)
        np.testing.assert_array_equal(counts[:-1].sum(1), objects)
        likely = setting.detections.labels[setting.detections.scores.astype(np.float32) >= 0.5]
        assert (counts[:, :-1].sum(0) <= np.bincount(likely, minlength=setting.classes)).all()
        if not setting.objects.ignore.any():
            np.testing.assert_array_equal(counts[:, :-1].sum(0), np.bincount(likely, minlength=setting.classes))
