"""Calibration of probabilities: expected calibration error and temperature scaling."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, Integer
from torch import Tensor
from torchmetrics import Metric

_LOWEST, _HIGHEST, _HALVINGS = 0.05, 20.0, 30
_ONE = 1 << 30


class Reliability(NamedTuple):
    """Data of a reliability diagram, for bins of confidence of equal width.

    Attributes:
        counts: Number of predictions in each bin.
        confidence: Mean confidence of each bin; NaN for an empty bin.
        accuracy: Share of correct predictions of each bin; NaN for an empty bin.
    """

    counts: Int64[Tensor, " bins"]
    confidence: Float[Tensor, " bins"]
    accuracy: Float[Tensor, " bins"]


class CalibrationError(Metric):
    """Expected calibration error: the absolute difference of confidence and accuracy, averaged over all predictions.

    Guo et al., On calibration of modern neural networks (ICML 2017), equation 3, in bins of equal width. For one class
    per image, the confidence is the probability of the most probable class, and the prediction is correct or wrong. For
    several classes per image, each probability is a prediction of its own, and the share of images with the class takes
    the place of the accuracy.

    Equal to torchmetrics' ``MulticlassCalibrationError`` and ``BinaryCalibrationError`` with norm l1; those store every
    prediction, whereas this one stores a few sums, which also give the reliability diagram. The sums are integers
    (billionths for confidence), so that they do not depend on the order or the number of processes.

    Args:
        bins: Number of bins.

    Example:
        >>> error = CalibrationError()
        >>> error.update(torch.tensor([[0.9, 0.1], [0.3, 0.7]]), torch.tensor([0, 0]))
        >>> round(error.compute().item(), 3)  # (|1 - 0.9| + |0 - 0.7|) / 2
        0.4
    """

    full_state_update = False
    count: Tensor
    confidence: Tensor
    right: Tensor

    def __init__(self, bins: int = 15) -> None:
        super().__init__()
        for name in ("count", "confidence", "right"):
            self.add_state(name, torch.zeros(bins, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        preds: Float[Tensor, "batch classes"],
        target: Integer[Tensor, " batch"] | Integer[Tensor, "batch classes"],
    ) -> None:
        """Add the predictions of one batch.

        Args:
            preds: Probability of each class.
            target: Class of each image, or whether it has each class.
        """
        if target.ndim == 1:
            confidence, labels = preds.max(1)
            right = labels == target
        else:
            confidence, right = preds.flatten().contiguous(), target.flatten()
        bins = len(self.count)
        edges = torch.linspace(0, 1, bins + 1, dtype=confidence.dtype, device=confidence.device)
        index = (torch.bucketize(confidence, edges, right=True) - 1).clamp(max=bins - 1)
        counted = torch.stack((torch.ones_like(index), (confidence * _ONE).round().long(), right.long()))
        sums = torch.zeros(3, bins, dtype=torch.int64, device=confidence.device).index_add_(1, index, counted)
        self.count, self.confidence, self.right = self.count + sums[0], self.confidence + sums[1], self.right + sums[2]

    def compute(self) -> Float[Tensor, ""]:
        """Return the expected calibration error, 0 to 1."""
        return (self.right * _ONE - self.confidence).abs().sum() / (self.count.sum() * _ONE)

    def reliability(self) -> Reliability:
        """Return the contents of the bins; within ``sync_context``, of all processes."""
        return Reliability(self.count, self.confidence / (self.count * _ONE), self.right / self.count)


def fit_temperature(
    logits: Float[Tensor, "images outputs"], labels: Integer[Tensor, " images"] | Integer[Tensor, "images outputs"]
) -> float:
    """Fit the temperature T that maximises the likelihood of the labels under ``logits / T``.

    Guo et al. 2017, section 4.2. The negative log-likelihood is convex in 1 / T, so that bisection on its derivative
    finds the minimum; the paper uses L-BFGS.

    Args:
        logits: Logits of images that were not trained on.
        labels: Class of each image (softmax), or whether it has each class (a sigmoid for each, one temperature for
            all).

    Returns:
        The temperature, 0.05 to 20; above 1 the network was overconfident. If every prediction is correct there is no
        minimum, and the temperature is so low that the probabilities are 1.

    Example:
        >>> logits = torch.tensor([[4.0, 0.0]] * 10)
        >>> temperature = fit_temperature(logits, torch.tensor([0] * 8 + [1] * 2))
        >>> (logits / temperature).softmax(1)[0, 0].item()
        0.8000...
    """
    # MPS has no float64.
    scores = (logits.cpu() if logits.device.type == "mps" else logits).double()
    labels = labels.to(scores.device)
    shares = (F.one_hot(labels.long(), scores.shape[1]) if labels.ndim == 1 else labels).double()
    observed = (shares * scores).sum()
    low, high = math.log(1 / _HIGHEST), math.log(1 / _LOWEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        scaled = scores * math.exp(middle)
        expected = ((scaled.softmax(1) if labels.ndim == 1 else scaled.sigmoid()) * scores).sum()
        if expected < observed:
            low = middle
        else:
            high = middle
    return math.exp(-(low + high) / 2)
