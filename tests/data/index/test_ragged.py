from itertools import pairwise

import numpy as np
import pytest

from visiontasks.data.index.ragged import PackedStrings, offsets_of, take_rows

NAMES = ["a b.jpg", "", "naïve.png", "😀/x.jpg", "no\udcfftf8.jpg"]


def test_strings_come_back_with_spaces_accents_emoji_and_foreign_bytes() -> None:
    packed = PackedStrings.pack(NAMES)
    assert list(packed) == NAMES == [packed[position] for position in range(len(packed))]
    assert packed[-1] == NAMES[-1]
    assert len(PackedStrings.pack([])) == 0
    assert list(PackedStrings.pack([])) == []


@pytest.mark.parametrize("position", [5, -6])
def test_positions_beyond_the_end(position: int) -> None:
    with pytest.raises(IndexError):
        PackedStrings.pack(NAMES)[position]


def test_rows_are_taken_as_a_loop_would() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 9, length) for length in rng.integers(0, 5, 40)]
    offsets, values = offsets_of(np.array([len(row) for row in rows])), np.concatenate(rows)
    for chosen in (rng.integers(0, 40, 25), np.array([], np.int64), np.arange(40)):
        positions, taken = take_rows(offsets, chosen)
        expected = [rows[row].tolist() for row in chosen]
        assert [values[positions][a:b].tolist() for a, b in pairwise(taken.tolist())] == expected
    packed = PackedStrings.pack(NAMES).take(np.array([3, 3, 0]))
    assert list(packed) == [NAMES[3], NAMES[3], NAMES[0]]
