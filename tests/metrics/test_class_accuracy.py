import math

import torch

from visiontasks.metrics.class_accuracy import ClassAccuracy


def test_it_is_the_share_of_right_images_and_nan_without_images() -> None:
    accuracy = ClassAccuracy(num_classes=4, average=None, validate_args=False)
    labels = torch.tensor([0, 0, 0, 1, 3, 3])
    probabilities = torch.rand(6, 4)
    for part in (slice(0, 4), slice(4, 6)):
        accuracy.update(probabilities[part], labels[part])
    predicted = probabilities.argmax(1)
    for label, value in enumerate(accuracy.compute().tolist()):
        right = (predicted[labels == label] == label).tolist()
        assert value == (sum(right) / len(right) if right else math.nan) or (not right and math.isnan(value))
