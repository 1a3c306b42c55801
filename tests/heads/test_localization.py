from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from visiontasks.heads.localization import AttentionHead, PooledHead


def random_features(count: int = 2) -> list[Tensor]:
    return [torch.randn(count, 4, 9, 12), torch.randn(count, 6, 5, 6), torch.randn(count, 8, 3, 3)]


@pytest.mark.parametrize("kind", [AttentionHead, PooledHead])
@pytest.mark.parametrize("boxes", [1, 3])
def test_shapes_and_boxes_with_sides_for_any_batch(kind: Callable[..., AttentionHead | PooledHead], boxes: int) -> None:
    head = kind((4, 6, 8), 5, boxes)
    logits, found = head(random_features())
    assert logits.shape == (2, 5)
    assert found.shape == (2, boxes, 4)
    assert (found[..., 2:] > found[..., :2]).all()
    logits, found = head([x[:0] for x in random_features()])
    assert (logits.shape, found.shape) == ((0, 5), (0, boxes, 4))


def test_the_first_box_lies_in_the_middle_with_about_half_the_sides() -> None:
    _, boxes = AttentionHead((4, 6, 8), 5)(random_features())
    torch.testing.assert_close(boxes, torch.tensor([[[0.27, 0.27, 0.73, 0.73]]]).expand(2, 1, 4), atol=0.01, rtol=0)


def test_attention_is_the_weighted_mean_of_what_the_cells_say() -> None:
    head = AttentionHead((4,), 3, 2, width=8)
    torch.nn.init.normal_(head.cells.weight)
    seen: dict[str, Tensor] = {}
    head.cells.register_forward_hook(lambda _, inputs, outputs: seen.update(x=inputs[0], y=outputs))
    logits, boxes = head([torch.randn(2, 4, 3, 5)])
    x, y = seen["x"], seen["y"]
    for image in range(2):
        weights = y[image, :2].flatten(1).softmax(1).reshape(2, 3, 5)
        pooled = sum(weights[1, row, column] * x[image, :, row, column] for row in range(3) for column in range(5))
        torch.testing.assert_close(head.classes(pooled), logits[image])
        for box in range(2):
            total = torch.zeros(4)
            for row in range(3):
                for column in range(5):
                    left, top, right, bottom = torch.nn.functional.softplus(
                        y[image, 2 + 4 * box : 6 + 4 * box, row, column]
                    )
                    cx, cy = (column + 0.5) / 5, (row + 0.5) / 3
                    total += weights[0, row, column] * torch.stack([cx - left, cy - top, cx + right, cy + bottom])
            torch.testing.assert_close(boxes[image, box], total)


def test_pooled_boxes_are_centre_and_size() -> None:
    head = PooledHead((4, 8), 3)
    features = [torch.randn(2, 4, 4, 4), torch.randn(2, 8, 2, 2)]
    x, y, width, height = head.boxes(features[1].mean((2, 3))).sigmoid().unbind(1)
    expected = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    torch.testing.assert_close(head(features)[1][:, 0], expected)
