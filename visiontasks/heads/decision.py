"""The decision of a classifier: from logits to probabilities and classes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from visiontasks.errors import ArgumentError
from visiontasks.losses.classification import Mode
from visiontasks.metrics.calibration import fit_temperature
from visiontasks.metrics.thresholds import best_f1_thresholds
from visiontasks.types import ClassificationPredictions


class Decision(nn.Module):
    """Softmax or sigmoids of logits divided by a temperature, and the resulting classes.

    Args:
        mode: One class by softmax, any number of classes by sigmoids, or one of two classes by one sigmoid.
        num_classes: Number of classes.
        thresholds: Minimum probability, 0 to 1, at which a class is predicted (binary: the second class), one for all
            classes or one for each. ``"best_f1"``: 0.5 until they are fitted.
        calibrate: Whether the temperature, 1 at first, is to be fitted.

    Attributes:
        fitted: Names of the quantities to be fitted.

    Raises:
        ArgumentError: If the thresholds do not fit the mode or the classes, or are out of range.

    Example:
        >>> decision = Decision("multilabel", num_classes=3, thresholds=[0.5, 0.5, 0.1])
        >>> decision(torch.tensor([[1.0, -1.0, -1.0]])).labels
        tensor([[1, 0, 1]], dtype=torch.uint8)
    """

    temperature: Tensor
    thresholds: Tensor

    def __init__(
        self,
        mode: Mode,
        num_classes: int,
        thresholds: str | float | Sequence[float] = 0.5,
        *,
        calibrate: bool = False,
    ) -> None:
        super().__init__()
        self.mode = mode
        count = {"multiclass": 0, "binary": 1, "multilabel": num_classes}[mode]
        self.fitted = ["temperature"] * calibrate + ["thresholds"] * (thresholds == "best_f1")
        given: list[float]
        if isinstance(thresholds, str):
            given = [0.5] * count if thresholds == "best_f1" else []
        else:
            given = [thresholds] * count if isinstance(thresholds, int | float) else list(thresholds)
        if mode == "multiclass" and thresholds != 0.5:
            message = (
                f"thresholds is {thresholds!r}, but mode 'multiclass' predicts the most probable class, without a "
                "threshold. Leave it out, or use mode 'binary' or 'multilabel'."
            )
            raise ArgumentError(message)
        if len(given) != count or not all(0 <= value <= 1 for value in given):
            several = f", {count} of them" if count > 1 else ""
            message = f"thresholds is {thresholds!r}; expected a number from 0 to 1{several}, or 'best_f1'."
            raise ArgumentError(message)
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("thresholds", torch.tensor([float(value) for value in given]))

    def reset(self) -> None:
        """Set the temperature to 1, and thresholds that are to be fitted to 0.5."""
        self.temperature.fill_(1)
        if "thresholds" in self.fitted:
            self.thresholds.fill_(0.5)

    def fit(
        self,
        logits: Float[Tensor, "images outputs"],
        labels: Integer[Tensor, " images"] | Integer[Tensor, "images classes"],
    ) -> dict[str, Tensor]:
        """Fit what is requested: the temperature first, then the thresholds for the calibrated probabilities.

        Args:
            logits: Logits of images that were not trained on.
            labels: Class of each image, or whether it has each class.

        Returns:
            The fitted values: ``temperature``; ``threshold``, one for each class (binary: one).
        """
        targets = labels[:, None] if self.mode == "binary" else labels
        fitted = {}
        if "temperature" in self.fitted:
            self.temperature.fill_(fit_temperature(logits, targets))
            fitted["temperature"] = self.temperature.clone()
        if "thresholds" in self.fitted:
            self.thresholds.copy_(best_f1_thresholds((logits / self.temperature).sigmoid(), targets))
            fitted["threshold"] = self.thresholds[0].clone() if self.mode == "binary" else self.thresholds.clone()
        return fitted

    def forward(self, logits: Float[Tensor, "batch outputs"]) -> ClassificationPredictions:
        """Convert logits to probabilities and predicted classes.

        Args:
            logits: A logit for each class; binary: one, of the second class.
        """
        logits = logits / self.temperature
        if self.mode == "multiclass":
            probabilities = logits.softmax(1)
            scores, best = probabilities.max(1)
            return ClassificationPredictions(probabilities, best, scores)
        reached = (probabilities := logits.sigmoid()) >= self.thresholds
        if self.mode == "multilabel":
            return ClassificationPredictions(probabilities, reached.to(torch.uint8), probabilities)
        labels = reached[:, 0].long()
        probabilities = torch.cat((1 - probabilities, probabilities), 1)
        return ClassificationPredictions(probabilities, labels, probabilities.gather(1, labels[:, None])[:, 0])
