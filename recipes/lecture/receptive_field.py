"""How much of the image one place of a feature map sees: layers, filter sizes, strides and pooling.

Calculated (each layer adds (kernel - 1) times the stride so far) and measured: the pixels that change an output, by the
gradient, with positive weights so that nothing cancels. Max pooling passes the gradient to one pixel of its window, so
that pooling here is by the average, which covers the same pixels.

Command: python recipes/lecture/receptive_field.py
Data: none.
"""

from typing import Any

import torch
from short_training import parse, save

from visiontasks import create_backbone

SIDE = 321
STACKS: list[tuple[str, dict[str, Any]]] = [
    ("1 layer of 7x7", {"filters": [4], "depth": 1, "kernel_size": 7, "pool": "none"}),
    ("3 layers of 3x3", {"filters": [4], "depth": 3, "pool": "none"}),
    ("6 layers of 3x3", {"filters": [4], "depth": 6, "pool": "none"}),
    ("6 layers of 3x3, every second with stride 2", {"filters": [4, 4, 4], "depth": 2, "stride": 2, "pool": "none"}),
    ("6 layers of 3x3, pooling 2x2 after every second", {"filters": [4, 4, 4], "depth": 2, "pool": "average"}),
    (
        "6 layers of 3x3, pooling 4x4 after every second",
        {"filters": [4, 4, 4], "depth": 2, "pool": "average", "pool_size": 4},
    ),
]


def calculated(options: dict[str, Any]) -> int:
    """Add up what each layer sees more."""
    field, step = 1, 1
    for _ in options["filters"]:
        for layer in range(options["depth"]):
            field += (options.get("kernel_size", 3) - 1) * step
            step *= options.get("stride", 1) if layer == 0 else 1
        if options["pool"] != "none":
            pool = options.get("pool_size", 2)
            field += (pool - 1) * step
            step *= pool
    return field


def measured(options: dict[str, Any]) -> tuple[int, int, int]:
    """Return the side that the middle of the last map sees, its stride, and the weights."""
    backbone = create_backbone("cnn", 1, **options).double().eval()
    for weight in backbone.parameters():
        weight.data.abs_().add_(0.1)
    image = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    feature = backbone(image)[-1]
    feature[0, 0, feature.shape[2] // 2, feature.shape[3] // 2].backward()
    assert image.grad is not None
    rows = image.grad[0, 0].abs().sum(1).nonzero().flatten()
    return int(rows[-1] - rows[0] + 1), backbone.strides[-1], sum(weight.numel() for weight in backbone.parameters())


def main() -> None:
    """Measure all stacks."""
    options = parse(__doc__, seeds=False)
    torch.manual_seed(0)
    rows = []
    for name, arguments in STACKS:
        side, stride, weights = measured(arguments)
        assert side == calculated(arguments), (name, side, calculated(arguments))
        rows.append([name, side, stride, weights])
    columns = ["stack of 4 filters a layer", "sees a square of", "stride", "weights"]
    save(options, __file__, [{"title": "The middle of the last map", "columns": columns, "rows": rows}])


if __name__ == "__main__":
    main()
