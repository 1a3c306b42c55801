import pytest
import torch
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder

from tests.detection.scenes import random_boxes
from visiontasks.detection.box_coder import BoxCoder


@pytest.mark.parametrize(("center", "side"), [(1.0, 1.0), (10.0, 5.0)])
def test_deltas_are_torchvisions(center: float, side: float) -> None:
    ours, theirs = BoxCoder((center, side)), TorchvisionCoder((center, center, side, side))
    boxes, references = random_boxes(40), random_boxes(40)
    encoded = ours.encode(boxes, references)
    torch.testing.assert_close(encoded, theirs.encode_single(boxes, references), rtol=1e-6, atol=1e-6)
    wild = torch.randn(40, 4) * 5
    torch.testing.assert_close(ours.decode(wild, references), theirs.decode_single(wild, references))


def test_what_is_encoded_is_decoded() -> None:
    boxes, references = random_boxes(2, 30), random_boxes(2, 30)
    coder = BoxCoder((10.0, 5.0))
    torch.testing.assert_close(coder.decode(coder.encode(boxes, references), references), boxes, rtol=0, atol=1e-4)


def test_references_are_shared_by_the_boxes_of_all_classes() -> None:
    references, deltas = random_boxes(5), torch.randn(5, 3, 4)
    each = torch.stack([BoxCoder().decode(deltas[:, k], references) for k in range(3)], 1)
    torch.testing.assert_close(BoxCoder().decode(deltas, references[:, None]), each)
