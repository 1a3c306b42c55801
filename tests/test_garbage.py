"""Garbage is collected again after a block, however it ends, if it was before."""

import gc

import pytest

from visiontasks.garbage import without_garbage_collection


def test_collection_is_as_before_once_a_block_ends() -> None:
    assert gc.isenabled()
    with without_garbage_collection():
        assert not gc.isenabled()
        with without_garbage_collection():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="of the block"), without_garbage_collection():
        raise ValueError("of the block")  # noqa: EM101, TRY003 - its text does not matter
    assert gc.isenabled()
