"""Labels that flow through neighbourhoods."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from visiontasks.embedding.label_propagation import neighbourhoods, propagate
from visiontasks.errors import ArgumentError


@pytest.fixture
def codes() -> Tensor:
    """Two crowds of 30, their directions a right angle apart."""
    torch.manual_seed(0)
    return torch.cat([torch.eye(4)[0] + 0.2 * torch.randn(30, 4), torch.eye(4)[1] + 0.2 * torch.randn(30, 4)])


def plain_graph(codes: Tensor, neighbours: int) -> Tensor:
    """Build the graph pair by pair."""
    weights = torch.zeros(len(codes), len(codes))
    for i, code in enumerate(codes):
        cosines = F.cosine_similarity(code[None], codes)
        order = [j for j in cosines.argsort(descending=True).tolist() if j != i][:neighbours]
        for j in order:
            weights[i, j] = max(0.0, cosines[j].item()) ** 3
    weights = weights + weights.T
    sums = weights.sum(1)
    return weights / (sums[:, None] * sums[None]).sqrt()


@pytest.mark.parametrize("neighbours", [1, 5, 59])
def test_the_graph_is_that_of_all_pairs(codes: Tensor, neighbours: int) -> None:
    graph = neighbourhoods(codes, neighbours).to_dense()
    torch.testing.assert_close(graph, plain_graph(codes, neighbours), rtol=1e-4, atol=1e-5)
    assert torch.linalg.eigvalsh(graph).abs().max() <= 1 + 1e-5


def test_more_images_than_are_compared_at_once() -> None:
    codes = torch.randn(1203, 9, generator=torch.Generator().manual_seed(0))
    graph = neighbourhoods(codes, 4).to_dense()
    assert (graph.diagonal() == 0).all()
    torch.testing.assert_close(graph, plain_graph(codes, 4), rtol=1e-3, atol=1e-4)


def test_labels_flow_to_where_the_equation_says(codes: Tensor) -> None:
    graph = neighbourhoods(codes, 5)
    chosen, labels = torch.tensor([0, 1, 31]), torch.tensor([1, 1, 0])
    found = propagate(graph, chosen, labels, num_classes=3, share=0.9, steps=300)
    start = torch.zeros(60, 3)
    start[chosen, labels] = 1
    # Zhou et al., equation 3: where the flow comes to rest.
    flow = torch.linalg.solve(torch.eye(60) - 0.9 * graph.to_dense(), start)
    flow[:, :2] /= flow[:, :2].sum(0)
    shares = flow / flow.sum(1, keepdim=True)
    certainty = 1 + torch.special.xlogy(shares, shares).sum(1) / torch.tensor(3.0).log()
    certainty[chosen] = 1
    assert torch.equal(found.argmax(1), shares.argmax(1))
    torch.testing.assert_close(found.sum(1), certainty, rtol=1e-3, atol=1e-4)
    assert ((found > 0).sum(1) == 1).all()


def test_one_label_of_each_crowd_names_all(codes: Tensor) -> None:
    found = propagate(neighbourhoods(codes), torch.tensor([3, 40]), torch.tensor([0, 1]), num_classes=2)
    assert found.argmax(1).tolist() == [0] * 30 + [1] * 30


def test_where_no_label_arrives_nothing_is_said() -> None:
    codes = torch.tensor([[1.0, 0], [1, 0.1], [-1, 0], [-1, 0.1]])
    found = propagate(neighbourhoods(codes, 1), torch.tensor([0]), torch.tensor([1]), num_classes=2)
    assert (found[2:] == 0).all()
    assert found[0].tolist() == [0, 1]
    assert found[1].argmax() == 1


@pytest.mark.parametrize(("images", "neighbours", "power"), [(3, 3, 3.0), (3, 0, 3.0), (0, 1, 3.0), (3, 1, 0.0)])
def test_a_graph_needs_neighbours(images: int, neighbours: int, power: float) -> None:
    with pytest.raises(ArgumentError, match="expected at least 1 neighbour"):
        neighbourhoods(torch.randn(images, 2), neighbours, power)


@pytest.mark.parametrize("wrong", [{"num_classes": 1}, {"share": 1.0}, {"share": 0.0}, {"steps": 0}])
def test_numbers_out_of_range_are_errors(wrong: dict[str, Any]) -> None:
    graph = neighbourhoods(torch.randn(4, 2), 1)
    with pytest.raises(ArgumentError, match="expected at least 2"):
        propagate(graph, torch.tensor([0]), torch.tensor([1]), **{"num_classes": 2} | wrong)


@pytest.mark.parametrize(
    ("chosen", "labels", "message"),
    [
        ([0], [-1], "labels has -1; expected 0 to 1"),
        ([0], [2], "labels has 2; expected 0 to 1"),
        ([4], [0], "chosen has 4; expected 0 to 3"),
        ([1, -1], [0, 0], "chosen has -1; expected 0 to 3"),
    ],
)
def test_labels_and_places_out_of_range_are_errors(chosen: list[int], labels: list[int], message: str) -> None:
    graph = neighbourhoods(torch.randn(4, 2), 1)
    with pytest.raises(ArgumentError, match=message):
        propagate(graph, torch.tensor(chosen), torch.tensor(labels), num_classes=2)
