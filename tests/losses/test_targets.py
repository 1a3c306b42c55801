import torch

from visiontasks.losses.targets import smooth, smooth_decisions


def test_shares_sum_to_1_wherever_a_pixel_counts() -> None:
    masks = torch.tensor([[[0, 2], [255, 1]]], dtype=torch.uint8)
    shares = smooth(masks, 3, 0.3, ignore_index=255)
    torch.testing.assert_close(shares.sum(1), torch.tensor([[[1.0, 1.0], [0.0, 1.0]]]))
    torch.testing.assert_close(shares[0, :, 0, 1], torch.tensor([0.1, 0.1, 0.8]))


def test_mixed_labels_are_smoothed_like_the_labels_that_they_mix() -> None:
    one, other = torch.tensor([0, 1]), torch.tensor([2, 1])
    mixed = 0.7 * smooth(one, 3) + 0.3 * smooth(other, 3)
    expected = 0.7 * smooth(one, 3, 0.2) + 0.3 * smooth(other, 3, 0.2)
    torch.testing.assert_close(smooth(mixed, 3, 0.2), expected)


def test_decisions_come_nearer_to_each_other() -> None:
    expected = torch.tensor([0.1, 0.9, 0.5])
    torch.testing.assert_close(smooth_decisions(torch.tensor([0.0, 1.0, 0.5]), 0.2), expected)
    torch.testing.assert_close(smooth_decisions(torch.tensor([0, 1], dtype=torch.uint8), 0.2), expected[:2])
