"""Label propagation: the labels of a few images spread to many over a nearest-neighbour graph of their codes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from visiontasks.errors import ArgumentError


def neighbourhoods(
    codes: Float[Tensor, "images code"], neighbours: int = 10, power: float = 3.0
) -> Float[Tensor, "images images"]:
    """Build the nearest-neighbour graph of the codes, weighted so that :func:`propagate` converges.

    The weight of a pair is a power of its cosine similarity (0 if negative), summed over both directions and divided by
    the square roots of both images' total weights (Zhou et al., Learning with local and global consistency, NIPS 2003,
    section 2; powers of cosines follow Iscen et al., Label propagation for deep semi-supervised learning, CVPR 2019).
    All pairs are compared in chunks: time grows quadratically with the number of images, memory linearly.

    Args:
        codes: Codes, shape [N, D].
        neighbours: Number of nearest neighbours of each image, at least 1 and below N.
        power: Exponent of the cosines, above 0; the higher it is, the more the nearest neighbours count.

    Returns:
        Sparse symmetric matrix, shape [N, N], whose largest eigenvalue is at most 1.

    Raises:
        ArgumentError: If there are too few images, or a number is out of range.

    Example:
        >>> graph = neighbourhoods(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]]), neighbours=1)
        >>> graph.to_dense().round(decimals=3).tolist()[0]
        [0.0, 1.0, 0.0, 0.0]
    """
    if not 1 <= neighbours < len(codes) or power <= 0:
        message = (
            f"neighbours is {neighbours}, power {power} and there are {len(codes)} codes; expected at least 1 "
            "neighbour, more codes than that, and a power above 0."
        )
        raise ArgumentError(message)
    codes = F.normalize(codes.float())
    weights, columns = [], []
    for start in range(0, len(codes), 500):
        cosines = codes[start : start + 500] @ codes.T
        cosines.diagonal(start).fill_(-2)
        nearest = cosines.topk(neighbours)
        weights.append(nearest.values.clamp(min=0) ** power)
        columns.append(nearest.indices)
    weight, column = torch.cat(weights).flatten(), torch.cat(columns).flatten()
    row = torch.arange(len(codes), device=codes.device).repeat_interleave(neighbours)
    both = torch.stack([torch.cat([row, column]), torch.cat([column, row])])
    shape = len(codes), len(codes)
    graph = torch.sparse_coo_tensor(both, torch.cat([weight, weight]), shape, check_invariants=True).coalesce()
    scale = torch.sparse.sum(graph, 1).to_dense().clamp(min=1e-12).rsqrt()
    places = graph.indices()
    values = graph.values() * scale[places[0]] * scale[places[1]]
    return torch.sparse_coo_tensor(places, values, shape, check_invariants=True).coalesce()


def propagate(
    graph: Float[Tensor, "images images"],
    chosen: Int64[Tensor, " labelled"],
    labels: Int64[Tensor, " labelled"],
    num_classes: int,
    share: float = 0.99,
    steps: int = 100,
) -> Float[Tensor, "images classes"]:
    """Propagate labels through the graph, and compute the certainty of each image's class.

    Zhou et al., section 2; the certainty is that of Iscen et al.: 1 minus the normalised entropy of the class shares.
    Unlike in both papers, each class is divided by the total that was propagated from its labels, because labels in
    dense regions would spread further than others, and the given labels are kept.

    Args:
        graph: The graph of N images that :func:`neighbourhoods` returns.
        chosen: Positions of the images that have labels.
        labels: Their classes, 0 to ``num_classes - 1``.
        num_classes: How many classes there are, at least 2.
        share: Share of an image's label that comes from its neighbours in each step, between 0 and 1, both excluded.
        steps: Number of propagation steps.

    Returns:
        The certainty of each image at the index of its class and 0 elsewhere, shape [N, num_classes], as targets for a
        classifier that weights images by their certainty. All 0 for an image that no label reaches.

    Raises:
        ArgumentError: If a number, a position or a label is out of range.
    """
    if num_classes < 2 or not 0 < share < 1 or steps < 1:
        message = f"num_classes is {num_classes}, share {share} and steps {steps}; expected at least 2, 0 to 1, and 1."
        raise ArgumentError(message)
    for name, values, count in (("chosen", chosen, len(graph)), ("labels", labels, num_classes)):
        wrong = values[(values < 0) | (values >= count)]
        if len(wrong):
            message = f"{name} has {int(wrong[0])}; expected 0 to {count - 1}."
            raise ArgumentError(message)
    start = torch.zeros(graph.shape[0], num_classes, device=graph.device)
    start[chosen, labels] = 1
    flow = start
    for _ in range(steps):
        flow = share * torch.sparse.mm(graph, flow) + (1 - share) * start
    flow = flow / flow.sum(0).clamp(min=1e-12)
    total = flow.sum(1, keepdim=True)
    shares = flow / total.clamp(min=1e-12)
    entropy = -(shares * shares.clamp(min=1e-12).log()).sum(1) / torch.tensor(float(num_classes)).log()
    certainty = torch.where(total[:, 0] > 0, (1 - entropy).clamp(0, 1), 0.0)
    targets = F.one_hot(shares.argmax(1), num_classes) * certainty[:, None]
    targets[chosen] = F.one_hot(labels, num_classes).float()
    return targets
