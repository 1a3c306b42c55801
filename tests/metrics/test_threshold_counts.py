import numpy as np
import pytest
import torch

from tests.metrics.detection_sets import Setting, random_setting
from visiontasks.metrics.detection_confusion import overlaps
from visiontasks.metrics.threshold_counts import STEPS, DecisionCounts, detection_counts


def count_at(setting: Setting, least: float) -> tuple[list[int], list[int]]:
    """Match the detections from a score on, each image and class for itself, as pycocotools does."""
    _, classes, objects, detections = setting
    right, wrong = [0] * classes, [0] * classes
    for image in range(setting.images):
        for label in range(classes):
            own = np.flatnonzero((objects.images == image) & (objects.labels == label))
            own = own[np.argsort(objects.ignore[own], kind="stable")]
            chosen = np.flatnonzero((detections.images == image) & (detections.labels == label))
            chosen = chosen[np.argsort(-detections.scores[chosen], kind="stable")]
            taken: set[int] = set()
            for one in chosen[detections.scores[chosen].astype(np.float32) >= np.float32(least)]:
                best, match = 0.5, -1
                for target in own:
                    crowd = objects.ignore[target]
                    if target in taken and not crowd:
                        continue
                    if match >= 0 and not objects.ignore[match] and crowd:
                        break
                    box, other = detections.boxes[one], objects.boxes[target]
                    overlap = overlaps(box[None], other[None])[0, 0]
                    if crowd:
                        sides = (np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])).clip(0)
                        overlap = sides.prod() / (box[2:] - box[:2]).prod()
                    if overlap >= best:
                        best, match = overlap, int(target)
                if match < 0:
                    wrong[label] += 1
                elif not objects.ignore[match]:
                    right[label] += 1
                    taken.add(match)
    return right, wrong


@pytest.mark.parametrize("seed", range(8))
def test_detections_are_counted_as_if_matched_at_each_threshold(seed: int) -> None:
    setting = random_setting(seed)
    counts = detection_counts(setting.detections, setting.objects, setting.classes)
    for step in (0, 10, 37, 50, 90, 100):
        right, wrong = count_at(setting, step / 100)
        assert counts.right[:, step].tolist() == right
        assert counts.wrong[:, step].tolist() == wrong
    wanted = np.bincount(setting.objects.labels[~setting.objects.ignore], minlength=setting.classes)
    assert counts.wanted.tolist() == wanted.tolist()


def test_decisions_are_those_of_comparing_with_each_threshold() -> None:
    # Probabilities that are thresholds, too.
    preds = torch.cat([torch.rand(40, 3), torch.arange(102).view(34, 3) / 100]).clamp(max=1)
    target = torch.randint(2, (74, 3))
    counts = DecisionCounts(3)
    for part in torch.arange(74).split(20):
        counts.update(preds[part], target[part])
    right, wrong, wanted = counts.compute()
    for step in range(STEPS):
        said = preds >= torch.tensor(step / 100)
        assert right[:, step].tolist() == (said & (target == 1)).sum(0).tolist()
        assert wrong[:, step].tolist() == (said & (target == 0)).sum(0).tolist()
    assert wanted.tolist() == target.sum(0).tolist()
