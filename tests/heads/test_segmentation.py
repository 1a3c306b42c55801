import torch

from visiontasks.heads.segmentation import PixelHead


def test_logits_keep_the_places_of_the_map() -> None:
    head = PixelHead(64, num_outputs=3, norm="none").eval()
    x = torch.rand(2, 64, 6, 5)
    logits = head(x)
    assert logits.shape == (2, 3, 6, 5)
    x[0, :, 0, 0] += 1
    changed = (head(x) != logits).any(1)
    assert changed[0, :2, :2].any()
    assert not changed[0, 2:].any()
    assert not changed[0, :, 2:].any()
    assert not changed[1].any()


def test_a_map_of_few_channels_and_whole_channels_dropped() -> None:
    assert PixelHead(2, num_outputs=1).conv(torch.rand(2, 2, 4, 4)).shape[1] == 1
    head = PixelHead(64, num_outputs=1, norm="none", dropout=0.5)
    dropped = head.dropout(torch.ones(4, 16, 3, 3)).flatten(2)
    assert ((dropped == 0).all(-1) | (dropped == 2).all(-1)).all()
    assert 0 < (dropped == 0).float().mean() < 1
