import torch
from torchvision.ops import box_iou

from visiontasks.detection.windows import sliding_windows


def test_windows_cover_boxes_of_all_places_and_sizes() -> None:
    windows = sliding_windows(torch.tensor([[240, 320]]), (240, 320))[0]
    corner = torch.rand(300, 2) * torch.tensor([200.0, 150.0])
    sides = torch.exp(torch.rand(300, 1) * 1.6) * 24
    boxes = torch.cat([corner, torch.minimum(corner + sides, torch.tensor([320.0, 240.0]))], 1)
    assert (box_iou(boxes, windows).max(1).values > 0.4).all()


def test_windows_are_inside_their_images() -> None:
    sizes = torch.tensor([[64, 100], [30, 50]])
    windows = sliding_windows(sizes, (64, 100))
    limits = sizes.flip(1).repeat(1, 2)[:, None]
    assert (windows >= 0).all()
    assert (windows <= limits).all()
    kept = ((windows[..., 2:] > windows[..., :2]).all(-1)).sum(1)
    assert kept[0] > kept[1] > 50


def test_an_image_of_one_pixel_and_a_batch_of_none_have_windows() -> None:
    assert sliding_windows(torch.tensor([[1, 1]]), (1, 1)).shape[1] > 0
    assert len(sliding_windows(torch.zeros(0, 2, dtype=torch.int64), (64, 64))) == 0
