import pytest
import torch
from torch import nn

from visiontasks.errors import ArgumentError
from visiontasks.heads.classification import ClassificationHead, Pool


@pytest.mark.parametrize("pool", ["average", "max"])
def test_the_coarsest_map_is_pooled_and_mapped_to_classes(pool: Pool) -> None:
    head = ClassificationHead(channels=(4, 6), num_classes=3, pool=pool)
    features = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 3, 5)]
    logits = head(features)
    for image in range(2):
        maps = [features[1][image, channel].flatten().tolist() for channel in range(6)]
        pooled = torch.tensor([sum(values) / 15 if pool == "average" else max(values) for values in maps])
        torch.testing.assert_close(logits[image], head.linear.weight @ pooled + head.linear.bias)


@pytest.mark.parametrize("pool", ["average", "max"])
def test_places_are_kept_where_they_are_asked_for(pool: Pool) -> None:
    head = ClassificationHead(channels=(2,), num_classes=3, pool=pool, pool_size=2)
    x = torch.randn(1, 2, 4, 6)
    quarters = [
        [part.mean() if pool == "average" else part.max() for row in channel.split(2) for part in row.split(3, 1)]
        for channel in x[0]
    ]
    pooled = torch.stack(quarters[0] + quarters[1])
    torch.testing.assert_close(head([x])[0], head.linear.weight @ pooled + head.linear.bias)


def test_dropout_acts_in_training_only() -> None:
    head = ClassificationHead(channels=(64,), num_classes=64, dropout=0.5)
    nn.init.eye_(head.linear.weight)
    nn.init.zeros_(head.linear.bias)
    ones = [torch.ones(8, 64, 1, 1)]
    assert set(head.train()(ones).unique().tolist()) == {0.0, 2.0}
    torch.testing.assert_close(head.eval()(ones), torch.ones(8, 64))


@pytest.mark.parametrize("pool_size", [1, 2])
@pytest.mark.parametrize("pool", ["average", "max"])
def test_a_batch_without_images_gives_no_logits(pool: Pool, pool_size: int) -> None:
    head = ClassificationHead((4,), num_classes=3, pool=pool, pool_size=pool_size)
    assert head([torch.zeros(0, 4, 2, 2)]).shape == (0, 3)


@pytest.mark.unchecked
def test_an_unknown_pooling_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="pool is 'median' and pool_size 1; expected 'average' or 'max', and"):
        ClassificationHead((4,), num_classes=3, pool="median")  # type: ignore[arg-type]  # the point


def test_by_default_a_head_drops_nothing_and_averages_all() -> None:
    head = ClassificationHead((4, 6), 3).train()
    features = [torch.rand(2, 4, 6, 8), torch.rand(2, 6, 3, 4)]
    torch.testing.assert_close(head(features), head.linear(features[-1].mean((2, 3))))
