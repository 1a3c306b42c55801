import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from visiontasks.metrics.proposal_recall import proposal_recall


def test_recall_is_the_share_of_objects_that_are_covered() -> None:
    generator = np.random.default_rng(0)
    images = []
    for _ in range(5):
        corner = generator.uniform(0, 50, (60, 2))
        boxes = np.concatenate([corner, corner + generator.uniform(5, 40, (60, 2))], 1)
        images.append((boxes[4:], boxes[:4]))
    found = proposal_recall(images, (10, 50))
    for limit in (10, 50):
        best = torch.cat([box_iou(torch.tensor(o), torch.tensor(p[:limit])).max(1).values for p, o in images])
        assert found[f"recall_50_{limit}"] == pytest.approx((best >= 0.5).double().mean().item())
        shares = [(best >= threshold).double().mean().item() for threshold in np.linspace(0.5, 0.95, 10)]
        assert found[f"recall_{limit}"] == pytest.approx(np.mean(shares))
    assert 0 < found["recall_10"] < found["recall_50"]


def test_images_without_proposals_or_objects_count_as_they_are() -> None:
    box, none = np.array([[0.0, 0, 10, 10]]), np.zeros((0, 4))
    assert proposal_recall([(none, box), (box, none), (box, box)], (5,)) == {"recall_50_5": 0.5, "recall_5": 0.5}
    assert np.isnan(proposal_recall([(box, none)], (5,))["recall_5"])
