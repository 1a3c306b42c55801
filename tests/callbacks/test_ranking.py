import math

import pytest
import torch

from visiontasks.callbacks.ranking import Ranking
from visiontasks.types import ClassificationBatch, ClassificationPredictions


def offer(ranking: Ranking, keys: list[float], ids: list[int]) -> None:
    count = len(keys)
    batch = ClassificationBatch(torch.zeros(count, 1, 4, 4), torch.zeros(count, dtype=torch.int64), torch.tensor(ids))
    labels = torch.zeros(count, dtype=torch.int64)
    ranking.offer(keys, keys, ClassificationPredictions(torch.rand(count, 2), labels, torch.rand(count)), batch)


@pytest.mark.parametrize("size", [1, 3, 40])
def test_the_lowest_keys_stay_whatever_the_batches(size: int) -> None:
    keys = (torch.randint(0, 10, (40,), generator=torch.Generator().manual_seed(0)) / 10).tolist()
    keys[7] = math.nan
    ranking = Ranking(5)
    for start in range(0, 40, size):
        offer(ranking, keys[start : start + size], list(range(start, min(40, start + size))))
    expected = sorted((key, number) for number, key in enumerate(keys) if not math.isnan(key))[:5]
    assert [(sample.key, sample.order[0]) for sample in ranking.kept] == expected
    assert all(len(sample.batch.images) == 1 for sample in ranking.kept)


def test_equal_keys_of_equal_ids_keep_their_order() -> None:
    # As of plain pairs, whose ids begin anew with each batch.
    ranking = Ranking(3)
    for _ in range(2):
        offer(ranking, [0.5, 0.5], [0, 1])
    assert [sample.order for sample in ranking.kept] == [(0, 0), (0, 2), (1, 1)]


def test_none_are_kept_when_none_are_asked_for() -> None:
    ranking = Ranking(0)
    offer(ranking, [0.5], [0])
    assert not ranking.kept


def test_a_sample_is_a_copy_of_its_own_image_and_predictions() -> None:
    images = torch.arange(3.0)[:, None, None, None].expand(3, 1, 4, 4).contiguous() / 2
    batch = ClassificationBatch(images, torch.tensor([5, 6, 7]), torch.arange(3))
    probabilities = torch.rand(3, 2, requires_grad=True)
    ranking = Ranking(2)
    predictions = ClassificationPredictions(probabilities, batch.labels, torch.rand(3))
    ranking.offer([0.3, 0.1, 0.2], [3.0, 1.0, 2.0], predictions, batch)
    expected = probabilities.detach().clone()
    images.zero_()
    for sample, index in zip(ranking.kept, (1, 2), strict=True):
        assert sample.quality == float(index)
        assert sample.batch.images.unique().tolist() == [index / 2]
        assert sample.batch.labels.tolist() == [5 + index]
        assert torch.equal(sample.predictions.probabilities[0], expected[index])
        assert not sample.predictions.probabilities.requires_grad
