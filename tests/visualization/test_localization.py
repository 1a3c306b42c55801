import torch

from visiontasks.types import LocalizationBatch, LocalizationPredictions
from visiontasks.visualization import (
    draw_localization,
)


def test_predicted_boxes_are_green_or_red_and_true_ones_yellow() -> None:
    boxes = torch.tensor([[4.0, 8, 24, 28], [4, 8, 24, 28], [4, 8, 24, 28], [0, 0, 0, 0]])
    batch = LocalizationBatch(
        torch.zeros(4, 1, 40, 40, dtype=torch.uint8),
        torch.tensor([1, 1, 0, -1]),
        boxes,
        torch.full((4, 2), 40),
        torch.ones(4, 2),
        torch.arange(4),
    )
    found = torch.tensor([[6.0, 8, 26, 28], [20, 8, 40, 28], [4, 12, 24, 32], [4, 8, 24, 28]])
    predictions = LocalizationPredictions(
        torch.eye(2)[[1, 1, 1, 1]],
        torch.ones(4, dtype=torch.int64),
        torch.ones(4),
        found,
        found[:, None].expand(4, 2, 4),
    )
    picture = draw_localization(batch, predictions, ["cat", "dog"], columns=4, side=200)
    # Two lines of title: the overlap, and the true class of the third image.
    assert picture.shape == (3, 242 + 6, 4 * 206 + 6)
    green, red, yellow = [0, 110, 60], [200, 30, 30], [255, 200, 0]
    for column, (color, has_true) in enumerate(((green, True), (red, True), (red, True), (red, False))):
        tile = picture[:, 42:242, 6 + 206 * column : 206 + 206 * column]
        bottom = round(5 * found[column, 3].item())
        assert tile[:, bottom, round(5 * found[column, 2].item()) - 4].tolist() == color
        assert (tile.permute(1, 2, 0) == torch.tensor(yellow)).all(2).any() == has_true
