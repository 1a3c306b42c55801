import torch
from torchvision.ops import box_iou as torchvision_iou
from torchvision.ops import clip_boxes_to_image

from tests.detection.scenes import random_boxes
from visiontasks.detection.boxes import box_iou, clip_to, is_box, take


def test_overlaps_of_many_images_are_those_of_each() -> None:
    boxes, others = random_boxes(3, 5), random_boxes(3, 7)
    expected = torch.stack([torchvision_iou(a, b) for a, b in zip(boxes, others, strict=True)])
    torch.testing.assert_close(box_iou(boxes, others), expected, rtol=0, atol=0)
    torch.testing.assert_close(box_iou(boxes, others[:1])[1], torchvision_iou(boxes[1], others[0]), rtol=0, atol=0)


def test_padding_overlaps_with_nothing() -> None:
    padding = torch.zeros(2, 4)
    assert not box_iou(padding, torch.cat([padding, random_boxes(3)])).any()
    assert not is_box(padding).any()
    assert is_box(random_boxes(3)).all()


def test_boxes_are_clipped_to_their_own_image() -> None:
    boxes = random_boxes(2, 50) * 2 - 40
    sizes = torch.tensor([[60, 100], [90, 30]])
    clipped = clip_to(boxes, sizes)
    for index, size in enumerate(sizes.tolist()):
        torch.testing.assert_close(clipped[index], clip_boxes_to_image(boxes[index], size), rtol=0, atol=0)


def test_rows_are_taken_from_each_image() -> None:
    values, indices = torch.rand(2, 6, 4), torch.tensor([[5, 0], [1, 1]])
    torch.testing.assert_close(take(values, indices), torch.stack([values[0, [5, 0]], values[1, [1, 1]]]))
