"""LocallyConnected2d against an explicit loop over the places, 16 to 16 channels, 3x3 filters, 28 x 28.

Command: python benchmarks/locally_connected.py
"""

import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import alternate, report, setting
from torch import Tensor

from visiontasks.backbones.locally_connected import LocallyConnected2d

SIDE, CHANNELS, KERNEL = 28, 16, 3


def loop(layer: LocallyConnected2d, x: Tensor) -> Tensor:
    """Apply the filters of one place after another."""
    padded = F.pad(x, (1, 1, 1, 1))
    weight = layer.weight.view(SIDE, SIDE, CHANNELS, KERNEL, KERNEL, CHANNELS).permute(0, 1, 2, 5, 3, 4)
    assert layer.bias is not None
    bias = layer.bias.view(SIDE, SIDE, CHANNELS)
    rows = []
    for row in range(SIDE):
        places = []
        for column in range(SIDE):
            patch = padded[:, :, row : row + KERNEL, column : column + KERNEL].flatten(1)
            places.append(F.linear(patch, weight[row, column].flatten(1), bias[row, column]))
        rows.append(torch.stack(places, 2))
    return torch.stack(rows, 2)


def rate(layer: LocallyConnected2d, apply: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Callable[[], float]:
    """Prepare a measurement of training steps (forward and backward) in images per second."""

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            layer.zero_grad()
            apply(x).square().mean().backward()
        return steps * len(x) / (time.perf_counter() - start)

    return measure


def forward_rate(apply: Callable[[Tensor], Tensor], x: Tensor, steps: int) -> Callable[[], float]:
    """Prepare a measurement of the forward pass in images per second."""

    def measure() -> float:
        start = time.perf_counter()
        with torch.no_grad():
            for _ in range(steps):
                apply(x)
        return steps * len(x) / (time.perf_counter() - start)

    return measure


def main() -> int:
    """Check that both give the same, then measure the forward pass and the training step."""
    setting()
    layer = LocallyConnected2d(CHANNELS, CHANNELS, SIDE, KERNEL, padding=1)
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    print(f"{parameters:,} parameters")
    met = []
    for batch in (1, 8, 32):
        x = torch.randn(batch, CHANNELS, SIDE, SIDE)
        torch.testing.assert_close(layer(x), loop(layer, x), rtol=1e-4, atol=1e-5)
        for title, sides in (
            (
                "forward",
                {
                    "layer": forward_rate(layer, x, 20),
                    "loop": forward_rate(lambda x: loop(layer, x), x, 2),
                },
            ),
            (
                "training step",
                {
                    "layer": rate(layer, layer, x, 10),
                    "loop": rate(layer, lambda x: loop(layer, x), x, 1),
                },
            ),
        ):
            met.append(report(f"{title}, batch {batch}", alternate(sides), "layer", "loop", 20))
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
