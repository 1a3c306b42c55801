import numpy as np
import pytest
import torch
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.ops import box_iou

from tests.metrics.detection_sets import as_batches, random_setting
from tests.metrics.instance_sets import SIZE, as_batch, random_images
from visiontasks.metrics.confusion import ConfusionMatrix, MultilabelConfusion
from visiontasks.metrics.detection_records import Detections, TrueObjects
from visiontasks.metrics.sample_quality import (
    classification_quality,
    detection_quality,
    instance_quality,
    localization_quality,
    reconstruction_quality,
    segmentation_quality,
)
from visiontasks.metrics.threshold_counts import detection_counts
from visiontasks.types import (
    AutoencodingBatch,
    AutoencodingPredictions,
    ClassificationBatch,
    ClassificationPredictions,
    LocalizationBatch,
    LocalizationPredictions,
    SegmentationBatch,
    SegmentationPredictions,
)

IMAGES, IDS = torch.zeros(6, 3, 9, 7, dtype=torch.uint8), torch.arange(6)


def test_a_classification_has_the_probability_of_the_truth() -> None:
    probabilities = torch.rand(6, 3)
    labels = torch.randint(3, (6,))
    predictions = ClassificationPredictions(probabilities, labels, probabilities[:, 0])
    expected = [probabilities[i, labels[i]].item() for i in range(6)]
    assert classification_quality(ClassificationBatch(IMAGES, labels, IDS), predictions)[1].tolist() == expected
    several = torch.randint(2, (6, 3), dtype=torch.uint8)
    mean = [np.mean([p if y else 1 - p for p, y in zip(*pair, strict=True)]) for pair in zip(probabilities, several)]  # noqa: B905 - tensors
    name, found = classification_quality(ClassificationBatch(IMAGES, several, IDS), predictions)
    assert name == "mean probability of the true answers"
    np.testing.assert_allclose(found, mean, rtol=1e-6)


def test_a_localization_has_the_overlap_where_the_class_is_right() -> None:
    corner = torch.rand(2, 6, 2) * 3
    boxes, truth = torch.cat([corner, corner + 4], 2)
    labels, found = torch.tensor([0, 1, 2, -1, 1, 0]), torch.tensor([0, 1, 0, 0, 1, 2])
    predictions = LocalizationPredictions(torch.rand(6, 3), found, torch.rand(6), boxes, boxes[:, None].expand(6, 3, 4))
    batch = LocalizationBatch(IMAGES, labels, truth, torch.full((6, 2), 7), torch.ones(6, 2), IDS)
    expected = box_iou(boxes, truth).diagonal().double().numpy()
    expected[[2, 5]], expected[3] = 0, np.nan
    np.testing.assert_allclose(localization_quality(batch, predictions)[1], expected, rtol=1e-6)


@pytest.mark.parametrize("multilabel", [False, True])
def test_a_segmentation_has_the_metric_of_each_image_alone(multilabel: bool) -> None:
    shape = (6, 4, 9, 7) if multilabel else (6, 9, 7)
    masks, found = (torch.randint(2 if multilabel else 4, shape, dtype=torch.uint8) for _ in range(2))
    masks[torch.rand(shape) < 0.2] = 255
    masks[0] = 255
    masks[1] = torch.where(masks[1] == 255, masks[1], 1)
    batch = SegmentationBatch(IMAGES, masks, torch.tensor([[9, 7]] * 6), torch.ones(6, 2), IDS)
    expected = []
    for index in range(6):
        metric = MultilabelConfusion(4) if multilabel else ConfusionMatrix(4)
        metric.update(found[index : index + 1], masks[index : index + 1])
        expected.append(metric.compute()["miou"].item())
    _, result = segmentation_quality(batch, SegmentationPredictions(found, torch.rand(shape)))
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    assert result.isnan().tolist() == [True] + [False] * 5


def test_a_detection_has_the_f1_of_each_image_alone() -> None:
    for seed in range(10):
        setting = random_setting(seed)
        for predictions, batch in as_batches(setting, list(range(setting.images))):
            for found, image in zip(detection_quality(batch, predictions)[1].tolist(), batch.ids.tolist(), strict=True):
                own, there = setting.detections, setting.objects
                counts = detection_counts(
                    Detections(*(field[own.images == image] for field in own)),
                    TrueObjects(*(field[there.images == image] for field in there)),
                    setting.classes,
                )
                right, wrong = counts.right[:, 50].sum(), counts.wrong[:, 50].sum()
                whole = right + wrong + counts.wanted.sum()
                assert found == pytest.approx(2 * right / whole if whole else np.nan, nan_ok=True)


def test_instances_are_right_by_their_masks() -> None:
    for seed in range(6):
        images, _ = random_images(seed)
        predictions, batch = as_batch(images, list(range(len(images))))
        name, found = instance_quality(batch, predictions)
        assert name == "F1 at score 0.5 and mask IoU 0.5"
        for value, image in zip(found.tolist(), images, strict=True):
            pasted = paste_masks_in_image(image.grids[:, None], image.boxes, SIZE)[:, 0] >= 0.5
            taken, right, wrong = set(), 0, 0
            for mask, label, score in zip(pasted, image.found_labels, image.scores, strict=True):
                if score < 0.5:
                    continue
                overlaps = []
                for number, (true, kind, ignored) in enumerate(
                    zip(image.masks, image.labels, image.ignore, strict=True)
                ):
                    whole = mask.sum() if ignored else (mask | true).sum()
                    overlap = float((mask & true).sum() / whole) if whole else 0.0
                    if kind == label and overlap >= 0.5 and number not in taken:
                        overlaps.append((not ignored, overlap, number))
                if not overlaps:
                    wrong += 1
                elif max(overlaps)[0]:
                    right += 1
                    taken.add(max(overlaps)[2])
            whole = right + wrong + int((~image.ignore).sum())
            assert value == pytest.approx(2 * right / whole if whole else np.nan, nan_ok=True)


def test_an_autoencoder_has_the_ratio_of_signal_and_noise() -> None:
    images = torch.full((2, 3, 4, 6), 51, dtype=torch.uint8)
    made = torch.full((2, 3, 4, 6), 0.3)
    made[1] = 0.2
    batch = AutoencodingBatch(images, torch.full((2,), -1), torch.arange(2))
    _, found = reconstruction_quality(batch, AutoencodingPredictions(made, torch.zeros(2, 5)))
    assert found.tolist() == pytest.approx([20.0, 100.0], abs=1e-3)
