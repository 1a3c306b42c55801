import pickle
from functools import partial

import numpy as np
import pytest

from visiontasks.data.images import image_cache
from visiontasks.data.images.image_cache import ImageCache
from visiontasks.errors import ArgumentError

SIZES = np.array([(4, 6), (2, 3), (5, 1)])


def image(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (*SIZES[index], 3), dtype=np.uint8)


def test_each_image_is_read_once_and_kept_as_it_is() -> None:
    cache = ImageCache(SIZES, channels=3)
    reads: list[int] = []

    def read(index: int) -> np.ndarray:
        reads.append(index)
        return image(index)

    for index in (2, 0, 1, 0, 2, 1):
        np.testing.assert_array_equal(cache.get(index, partial(read, index)), image(index))
    assert reads == [2, 0, 1]


def test_a_copy_for_a_spawned_worker_begins_empty() -> None:
    cache = ImageCache(SIZES, channels=3)
    cache.get(0, lambda: image(0))
    copy = pickle.loads(pickle.dumps(cache))
    np.testing.assert_array_equal(copy.get(0, lambda: image(0) + 1), image(0) + 1)


def test_more_than_the_free_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "_available_memory", lambda: 104)
    with pytest.raises(ArgumentError, match=r"cache of 3 decoded images needs .* Use cache=False"):
        ImageCache(SIZES, channels=3)
    ImageCache(SIZES[:2], channels=3)
