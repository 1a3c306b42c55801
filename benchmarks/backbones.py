"""Forward and backward of ResNet-18, ResNet-50 and GoogLeNet against torchvision's own, batch 16 at 224 x 224.

Command: python benchmarks/backbones.py
"""

import copy
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
import torchvision
from common import alternate, report, setting
from torch import Tensor, nn

from visiontasks import ClassificationTask
from visiontasks.cli.hardware import default_precision

NAMES = {"resnet18": "resnet18", "resnet50": "resnet50", "googlenet-torchvision": "googlenet"}
BATCH, STEPS, ROUNDS = 16, 2, 9


class Network(nn.Module):
    """The network of a task, without normalisation: what torchvision's model does."""

    def __init__(self, task: ClassificationTask) -> None:
        super().__init__()
        self.backbone, self.head = task.backbone, task.head

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


def pair(name: str) -> tuple[nn.Module, nn.Module]:
    """Create our network and torchvision's with the same weights."""
    options = {"aux_logits": False, "init_weights": True} if name.startswith("googlenet") else {}
    theirs = torchvision.models.get_model(NAMES[name], weights=None, num_classes=10, **options)
    ours = Network(ClassificationTask(10, backbone=name, dropout=0.2 if name.startswith("googlenet") else 0.0))
    weights = theirs.state_dict()
    ours.head.linear.load_state_dict({key: weights.pop(f"fc.{key}") for key in ("weight", "bias")})
    ours.backbone.load_state_dict(weights)
    return ours, theirs


def same_work(ours: nn.Module, theirs: nn.Module, images: Tensor, labels: Tensor) -> None:
    """Check that both have the same parameters, logits and first loss."""
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (ours, theirs)]
    assert counts[0] == counts[1], counts
    with torch.no_grad():
        logits, expected = copy.deepcopy(ours).eval()(images), copy.deepcopy(theirs).eval()(images)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    print(f"{counts[0]:,} parameters, first loss {F.cross_entropy(logits, labels).item():.4f} on both sides")


def rate(network: nn.Module, images: Tensor, labels: Tensor, autocast: bool) -> Callable[[], float]:
    """Prepare a measurement of forward and backward in images per second."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                loss = F.cross_entropy(network(images).float(), labels)
            network.zero_grad()
            loss.backward()
        return STEPS * BATCH / (time.perf_counter() - start)

    return measure


def main() -> int:
    """Measure each network in three settings; both sides keep freed memory."""
    setting()
    bf16 = default_precision("cpu") == "bf16-mixed"
    images, labels = torch.randn(BATCH, 3, 224, 224), torch.arange(BATCH) % 10
    last = images.to(memory_format=torch.channels_last)
    met = []
    for name in NAMES:
        torch.manual_seed(0)
        ours, theirs = pair(name)
        print(f"\n{name}: ", end="")
        same_work(ours, theirs, images, labels)
        ours_last = copy.deepcopy(ours).to(memory_format=torch.channels_last)
        defaults = f"ours, defaults ({'bf16' if bf16 else 'float32'}, channels-last)"
        sides = {
            "torchvision, float32": rate(theirs, images, labels, False),
            "ours, float32": rate(ours, images, labels, False),
            "ours, float32, channels-last": rate(ours_last, last, labels, False),
            defaults: rate(ours_last, last, labels, bf16),
        }
        figures = alternate(sides, ROUNDS)
        base, *others = sides
        for side, target in zip(others, (1.0, 1.2, 2.2), strict=True):
            both = {key: figures[key] for key in (side, base)}
            met.append(report(f"{name}: {side} / {base}", both, side, base, target))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
