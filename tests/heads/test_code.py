import pytest
import torch
from torch.nn.functional import linear

from visiontasks.errors import ArgumentError
from visiontasks.heads.code import MapCode, VectorCode, create_code, embedding


def test_a_vector_is_linear_in_all_values_of_the_map() -> None:
    code = VectorCode(3, 5, (2, 4), code_size=6, outputs=2, norm="none")
    features = torch.randn(7, 3, 2, 4)
    torch.testing.assert_close(code.encode(features), linear(features.flatten(1), code.into.weight, code.into.bias))
    assert code.encode(features).shape == (7, 12)
    decoded = code.decode(torch.randn(7, 6))
    assert decoded.shape == (7, 5, 2, 4)
    assert (decoded >= 0).all()


def test_a_place_of_a_map_depends_on_that_place_only() -> None:
    code = MapCode(3, 5, code_size=6, outputs=1, norm="batch").eval()
    features = torch.randn(1, 3, 4, 5)
    changed = features.clone()
    changed[:, :, 2, 3] += 1
    moved = (code.decode(code.encode(changed)) != code.decode(code.encode(features))).any(1)[0]
    assert moved.nonzero().tolist() == [[2, 3]]


def test_the_embedding_of_a_map_is_its_mean() -> None:
    codes = torch.randn(2, 3, 4, 5)
    torch.testing.assert_close(embedding(codes), codes.mean((2, 3)))
    assert embedding(codes[:, :, 0, 0]).equal(codes[:, :, 0, 0])


def test_a_vector_has_to_know_the_size() -> None:
    assert isinstance(create_code("map", 3, 3, 4, None), MapCode)
    with pytest.raises(ArgumentError, match="image_size"):
        create_code("vector", 3, 3, 4, None)
    with pytest.raises(ArgumentError, match="2 x 5; a code that is a vector was made for 2 x 4"):
        create_code("vector", 3, 5, 4, (2, 4)).encode(torch.zeros(1, 3, 2, 5))
