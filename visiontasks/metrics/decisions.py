"""Scores of binary decisions: accuracy, F1 and average precision of each class."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Integer
from torch import Tensor
from torchmetrics.classification import MultilabelStatScores
from torchmetrics.functional.classification import binary_average_precision
from torchmetrics.metric import Metric
from torchmetrics.utilities import dim_zero_cat


class DecisionScores(MultilabelStatScores):
    """Share of correct decisions, and macro F1 (averaged over the classes with equal weight).

    F1 is computed from the decisions, which may use a separate threshold for each class. A class that neither occurs
    nor is predicted is left out of the mean F1; torchmetrics' ``MultilabelF1Score`` gives it 0.

    Args:
        num_labels: Number of classes.

    Example:
        >>> scores = DecisionScores(num_labels=2)
        >>> present = torch.tensor([[1, 0], [1, 1], [0, 0]])
        >>> scores.update(torch.rand(3, 2), present, decisions=torch.tensor([[1, 0], [0, 1], [0, 0]]))
        >>> {name: round(value.item(), 3) for name, value in scores.compute().items()}
        {'accuracy': 0.833, 'f1': 0.833}
    """

    def __init__(self, num_labels: int) -> None:
        super().__init__(num_labels, average=None, validate_args=False)

    def update(  # type: ignore[override]  # decisions besides
        self,
        preds: Float[Tensor, "batch classes"],
        target: Integer[Tensor, "batch classes"],
        decisions: Integer[Tensor, "batch classes"],
    ) -> None:
        """Count the decisions of one batch.

        Args:
            preds: Probabilities; not used, because the decisions are given.
            target: Whether each image has each class.
            decisions: Whether each class was predicted for each image.
        """
        super().update(decisions, target)

    def compute(self) -> Mapping[str, Float[Tensor, ""]]:  # type: ignore[override]  # several values
        """Return ``accuracy`` and ``f1``."""
        right, false, absent, missed = self._final_state()
        f1 = 2 * right / (2 * right + false + missed)
        everything = (right + false + absent + missed).sum()
        return {"accuracy": (right + absent).sum() / everything, "f1": f1.nanmean()}


class AveragePrecision(Metric):
    """Average precision of each class, and their mean.

    For each class, the images are ranked by its probability; the average precision is the mean of the precision at each
    rank where the recall increases (scikit-learn's ``average_precision_score``). It is NaN for a class that no image
    has, which does not count for the mean.

    Args:
        each: Whether to return that of each class, beside the mean.

    Example:
        >>> precision = AveragePrecision()
        >>> present = torch.tensor([[1, 0], [0, 0], [1, 0]])
        >>> precision.update(torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]), present)
        >>> precision.compute()
        {'map': tensor(0.8333), 'ap': tensor([0.8333,    nan])}
    """

    full_state_update = False
    probabilities: list[Tensor]
    present: list[Tensor]

    def __init__(self, each: bool = True) -> None:
        super().__init__()
        self.by_class = ("ap",) if each else ()
        self.add_state("probabilities", [], dist_reduce_fx="cat")
        self.add_state("present", [], dist_reduce_fx="cat")

    def update(self, preds: Float[Tensor, "batch classes"], target: Integer[Tensor, "batch classes"]) -> None:
        """Add the probabilities of one batch.

        Args:
            preds: Probability of each class.
            target: Whether each image has each class.
        """
        self.probabilities.append(preds)
        self.present.append(target.to(torch.uint8))

    def compute(self) -> Mapping[str, Tensor]:
        """Return ``map``, and ``ap`` of each class, shape [classes]."""
        probabilities, present = dim_zero_cat(self.probabilities), dim_zero_cat(self.present).long()
        values = torch.full((probabilities.shape[1],), torch.nan, device=probabilities.device)
        for label in present.any(0).nonzero().flatten().tolist():
            values[label] = binary_average_precision(probabilities[:, label], present[:, label], validate_args=False)
        mean = {"map": values.nanmean()}
        return {**mean, "ap": values} if self.by_class else mean
