import torch

from visiontasks.losses.pixels import inside_of, mean_of_pixels, pixels_of


def test_an_image_without_pixels_counts_nothing() -> None:
    assert mean_of_pixels(torch.ones(1, 1, 2, 2), torch.tensor([[0, 2]])).tolist() == [0]


def test_pixels_are_float32_in_0_to_1() -> None:
    assert pixels_of(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist() == [[[[0, 1]]]]
    half = pixels_of(torch.tensor([[[[0.5]]]], dtype=torch.bfloat16))
    assert half.dtype == torch.float32
    assert half.item() == 0.5


def test_inside_is_what_is_no_padding() -> None:
    inside = inside_of(torch.tensor([[1, 2], [3, 1]]), (3, 3))
    assert inside[0, 0].tolist() == [[True, True, False], [False] * 3, [False] * 3]
    assert inside[1, 0].tolist() == [[True, False, False]] * 3
