"""A convolution is a matrix product: the windows of the image as columns (im2col), times the filters as rows.

Command: python recipes/lecture/matrix_product.py
Data: random pixels and filters; none is needed.
"""

import torch
import torch.nn.functional as F
from short_training import parse, save
from torch import Tensor

LAYERS = [
    ("3x3, padding 1", 3, 16, 3, 1, 1),
    ("5x5, stride 2, padding 2", 3, 32, 5, 2, 2),
    ("1x1", 64, 32, 1, 1, 0),
    ("11x11, stride 4 (AlexNet)", 3, 64, 11, 4, 2),
]
HEIGHT, WIDTH = 37, 45


def product(images: Tensor, filters: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve by one matrix product for each image."""
    columns = F.unfold(images, filters.shape[-2:], padding=padding, stride=stride)
    rows = (images.shape[-2] + 2 * padding - filters.shape[-2]) // stride + 1
    convolved: Tensor = (filters.flatten(1) @ columns).unflatten(2, (rows, -1))
    return convolved


def main() -> None:
    """Compare both, with whole numbers and with random ones."""
    options = parse(__doc__, seeds=False)
    torch.manual_seed(0)
    rows = []
    for name, inputs, outputs, kernel, stride, padding in LAYERS:
        pixels = torch.randint(0, 256, (2, inputs, HEIGHT, WIDTH)).float()
        filters = torch.randint(-8, 9, (outputs, inputs, kernel, kernel)).float()
        whole = product(pixels, filters, stride, padding)
        assert torch.equal(whole, F.conv2d(pixels, filters, stride=stride, padding=padding))
        filters = torch.randn_like(filters)
        random, expected = product(pixels, filters, stride, padding), F.conv2d(pixels, filters, None, stride, padding)
        difference = ((random - expected).abs().max() / expected.abs().max()).item()
        columns = whole[0, 0].numel()
        shape = f"{outputs} x {inputs * kernel**2} times {inputs * kernel**2} x {columns}"
        copies = inputs * kernel**2 * columns / pixels[0].numel()
        rows.append([name, shape, f"{copies:.1f}", "yes", f"{difference:.0e}"])
    columns_of_table = ["layer", "matrices", "copies of each pixel", "whole numbers equal", "random numbers differ by"]
    save(options, __file__, [{"title": f"Images of {HEIGHT} x {WIDTH}", "columns": columns_of_table, "rows": rows}])


if __name__ == "__main__":
    main()
