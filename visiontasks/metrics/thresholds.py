"""Decision thresholds, chosen on validation data."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor


def best_f1_thresholds(
    probabilities: Float[Tensor, "images classes"], present: Integer[Tensor, "images classes"]
) -> Float[Tensor, " classes"]:
    """Find the threshold with the best F1 for each class.

    A class is predicted for an image if its probability is at least the threshold, which lies halfway between two
    probabilities that occur. The highest of equally good thresholds is chosen.

    Args:
        probabilities: Probability of each class for images that were not trained on.
        present: Whether each image has each class.

    Returns:
        The thresholds, 0 to 1; 0.5 for a class that no image has.

    Example:
        >>> probabilities = torch.tensor([[0.9], [0.6], [0.4], [0.2]])
        >>> best_f1_thresholds(probabilities, torch.tensor([[1], [0], [1], [0]]))
        tensor([0.3000])
    """
    ranked, order = probabilities.sort(0, descending=True)
    hits = present.gather(0, order).cumsum(0)
    predicted = torch.arange(1, len(ranked) + 1, device=ranked.device)[:, None]
    f1 = 2 * hits / (predicted + hits[-1])
    following = torch.cat((ranked[1:], torch.zeros_like(ranked[:1])))
    # Images of equal probability are on the same side of a threshold.
    f1 = f1.where(ranked > following, -1)
    best = f1.argmax(0, keepdim=True)
    thresholds = (ranked.gather(0, best) + following.gather(0, best))[0] / 2
    return thresholds.where(hits[-1] > 0, 0.5)
