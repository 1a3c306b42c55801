"""How well codes predict classes: by nearest neighbours and by a linear classifier."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from visiontasks.errors import ArgumentError

Codes = Float[Tensor, "images code"]
Labels = Int64[Tensor, " images"]
Bank = Float[Tensor, "bank code"]
BankLabels = Int64[Tensor, " bank"]

_SIMILARITIES = 2**24  # computed at once, 64 MiB


class CodeAccuracy(Metric):
    """Accuracy of predicting the class of images from their codes, given the codes of a bank of training images.

    ``knn_accuracy`` is the accuracy of :func:`nearest_classes`, ``linear_accuracy`` that of :func:`fit_linear`. The
    codes of all processes are kept. Without a bank or without labels the result is empty.

    Args:
        neighbours: Number of neighbours that vote.

    Raises:
        ArgumentError: If it is less than 1.

    Example:
        >>> accuracy = CodeAccuracy(neighbours=1)
        >>> accuracy.remember(torch.eye(2), torch.tensor([0, 1]))
        >>> accuracy.update(torch.tensor([[0.9, 0.1]]), torch.tensor([0]))
        >>> accuracy.compute()["knn_accuracy"]
        tensor(1.)
    """

    full_state_update = False
    codes: list[Tensor]
    labels: list[Tensor]
    bank: list[Tensor]
    bank_labels: list[Tensor]

    def __init__(self, neighbours: int = 5) -> None:
        super().__init__()
        if neighbours < 1:
            message = f"neighbours is {neighbours}; expected at least 1."
            raise ArgumentError(message)
        self.neighbours = neighbours
        for name in ("codes", "labels", "bank", "bank_labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, codes: Codes, labels: Labels) -> None:
        """Add the codes of evaluated images; those without a class (label -1) are left out in the end."""
        self.codes.append(codes)
        self.labels.append(labels)

    def remember(self, codes: Codes, labels: Labels) -> None:
        """Add the codes of training images to the bank."""
        self.bank.append(codes)
        self.bank_labels.append(labels)
        # torchmetrics neither computes nor gathers a metric without updates.
        self._update_count += 1

    def compute(self) -> dict[str, Float[Tensor, ""]]:
        """Return the accuracies; empty if labels or the bank are missing."""
        kept = [dim_zero_cat(state) for state in (self.codes, self.labels, self.bank, self.bank_labels) if len(state)]
        if len(kept) < 4:
            return {}
        codes, labels, bank, bank_labels = kept
        codes, labels = codes[labels >= 0].float(), labels[labels >= 0]
        bank, bank_labels = bank[bank_labels >= 0].float(), bank_labels[bank_labels >= 0]
        if not len(codes) or not len(bank):
            return {}
        nearest = nearest_classes(codes, bank, bank_labels, self.neighbours)
        probe = fit_linear(bank, bank_labels)
        return {
            "knn_accuracy": (nearest == labels).float().mean(),
            "linear_accuracy": (probe(codes).argmax(1) == labels).float().mean(),
        }


def nearest_classes(codes: Codes, bank: Bank, labels: BankLabels, neighbours: int = 5) -> Labels:
    """Predict the class of each code by majority vote of its nearest neighbours by cosine similarity.

    Ties between classes go to the one with the nearer neighbours.

    Args:
        codes: Codes to classify.
        bank: Codes with known classes.
        labels: Their classes.
        neighbours: Number of neighbours that vote, at most the size of the bank.

    Example:
        >>> nearest_classes(torch.tensor([[2.0, 0.1]]), torch.eye(2), torch.tensor([4, 7]), neighbours=1)
        tensor([4])
    """
    classes = int(labels.max()) + 1
    bank = F.normalize(bank)
    chosen = []
    with torch.autocast(codes.device.type, enabled=False):
        for some in F.normalize(codes).split(max(1, _SIMILARITIES // len(bank))):
            similarity, nearest = (some @ bank.T).topk(min(neighbours, len(bank)))
            votes = F.one_hot(labels[nearest], classes)
            # A cosine is at most 1, so that nearness never outweighs a vote.
            nearness = (votes * similarity[:, :, None]).sum(1) / (4 * neighbours)
            chosen.append((votes.sum(1) + nearness).argmax(1))
    return torch.cat(chosen)


class LinearProbe:
    """A linear classifier on standardised codes.

    Args:
        mean: Mean of the codes that it was fitted to.
        scale: Their standard deviation.
        layer: Linear map from standardised codes to logits.
    """

    def __init__(self, mean: Tensor, scale: Tensor, layer: Tensor) -> None:
        self.mean = mean
        self.scale = scale
        self.layer = layer

    def __call__(self, codes: Codes) -> Float[Tensor, "images classes"]:
        """Compute the logit of each class."""
        return F.linear((codes - self.mean) / self.scale, self.layer[:, 1:], self.layer[:, 0])


def fit_linear(codes: Codes, labels: Labels, decay: float = 1e-3) -> LinearProbe:
    """Fit a linear classifier to codes: multinomial logistic regression by deterministic L-BFGS.

    Args:
        codes: Codes of training images.
        labels: Their classes.
        decay: Factor of half the sum of the squared weights, which is added to the mean cross-entropy.

    Example:
        >>> probe = fit_linear(torch.tensor([[0.0, 1.0], [1.0, 1.0]]), torch.tensor([0, 1]))
        >>> probe(torch.tensor([[2.0, 1.0]])).argmax().item()
        1
    """
    # Tensors from inference mode cannot take part in autograd, but copies can.
    with torch.inference_mode(mode=False), torch.enable_grad(), torch.autocast(codes.device.type, enabled=False):
        codes, labels = codes.clone(), labels.clone()
        mean, scale = codes.mean(0), codes.std(0, correction=0).clamp(min=1e-6)
        standard = (codes - mean) / scale
        layer = torch.zeros(int(labels.max()) + 1, 1 + codes.shape[1], device=codes.device, requires_grad=True)
        optimizer = torch.optim.LBFGS([layer], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Any:  # noqa: ANN401 (the optimiser wants floats, and takes tensors)
            optimizer.zero_grad()
            logits = F.linear(standard, layer[:, 1:], layer[:, 0])
            loss = F.cross_entropy(logits, labels) + decay / 2 * layer[:, 1:].square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    return LinearProbe(mean, scale, layer.detach())
