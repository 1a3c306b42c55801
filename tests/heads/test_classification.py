import torch
from torch import nn

from visiontasks.heads.classification import ClassificationHead


def test_the_coarsest_map_is_averaged_and_mapped_to_classes() -> None:
    head = ClassificationHead(channels=(4, 6), num_classes=3)
    features = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 3, 5)]
    logits = head(features)
    for image in range(2):
        pooled = torch.stack([features[1][image, channel].sum() / 15 for channel in range(6)])
        torch.testing.assert_close(logits[image], head.linear.weight @ pooled + head.linear.bias)


def test_dropout_acts_in_training_only() -> None:
    head = ClassificationHead(channels=(64,), num_classes=64, dropout=0.5)
    nn.init.eye_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    ones = [torch.ones(8, 64, 1, 1)]
    assert set(head.train()(ones).unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(head.eval()(ones), torch.ones(8, 64))


def test_a_batch_without_images_gives_no_logits() -> None:
    assert ClassificationHead((4,), num_classes=3)([torch.zeros(0, 4, 2, 2)]).shape == (0, 3)
