import torch

from visiontasks.visualization import draw_confusion


def test_a_small_matrix_has_room_for_its_title() -> None:
    names = ["no", "yes"]
    short = draw_confusion(torch.eye(2, dtype=torch.int64), names, "val")
    long = draw_confusion(torch.eye(2, dtype=torch.int64), names, "a title of more than a few words")
    assert long.shape[2] > short.shape[2]
    assert (long[:, :, -4:] == 255).all(), "nothing is cut off at the right edge"


def test_a_large_matrix_is_as_wide_as_its_cells() -> None:
    names = [f"class {number}" for number in range(30)]
    counts = torch.eye(30, dtype=torch.int64)
    assert draw_confusion(counts, names, "val").shape == draw_confusion(counts, names, "validation").shape
