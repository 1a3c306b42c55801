"""How a decoder enlarges maps: transpose convolutions of uneven and even overlap, unpooling, resizing.

A transpose convolution whose filters are not a multiple of its stride writes some pixels more often than others, and
draws a checkerboard (Odena et al., Deconvolution and checkerboard artifacts, Distill 2016). How much of one there is:
of the variance of an image's pixels about their surroundings, the share that the position in 2 x 2 blocks explains; 0
without a board, and 1 if there is nothing else.

Command: python recipes/lecture/upsampling.py --root FOLDER
Data: 5,000 of MNIST's training images, all test images; 400 steps of 50 images.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch import seed_everything
from short_training import digits, parse, save, spread
from torch import Tensor, nn

from visiontasks.decoders.image import Unpool

STEPS = 400
CODE = 32
WIDTHS = (64, 32, 16)


def transpose(side: int) -> Callable[[int, int], nn.Module]:
    """Make transpose convolutions of a stride of 2."""
    extra = side % 2
    return lambda before, after: nn.ConvTranspose2d(before, after, side, 2, (side - 2 + extra) // 2, extra)


def resized(before: int, after: int) -> nn.Module:
    """Repeat each pixel, then convolve."""
    return nn.Sequential(nn.Upsample(scale_factor=2.0), nn.Conv2d(before, after, 3, padding=1))


def unpooled(before: int, after: int) -> nn.Module:
    """Put each value where its window had its maximum, here a guess, then convolve."""
    return nn.Sequential(Unpool(before, 2), nn.Conv2d(before, after, 3, padding=1))


WAYS: list[tuple[str, Callable[[int, int], nn.Module]]] = [
    ("transpose convolution, 3 x 3", transpose(3)),
    ("transpose convolution, 4 x 4", transpose(4)),
    ("unpooling, convolution 3 x 3", unpooled),
    ("resizing, convolution 3 x 3", resized),
]


class Autoencoder(nn.Module):
    """Digits to a code and back.

    Args:
        channels: Channels of the images.
        enlarge: Makes what doubles the size of a map.
    """

    def __init__(self, channels: int, enlarge: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(channels, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, WIDTHS[0], 3, 2, 1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(WIDTHS[0] * 49, CODE), nn.Linear(CODE, WIDTHS[0] * 49), nn.ReLU()),
        )
        self.decoder = nn.Sequential(
            *(enlarge(WIDTHS[0], WIDTHS[1]), nn.ReLU(), enlarge(WIDTHS[1], WIDTHS[2]), nn.ReLU()),
            nn.Conv2d(WIDTHS[2], channels, 1),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Reconstruct pixels of 0 to 1."""
        images: Tensor = self.decoder(self.encoder(pixels).unflatten(1, (WIDTHS[0], 7, 7)))
        return images


def checkerboard(images: Tensor) -> float:
    """Return the share of the variance about the surroundings that the position in 2 x 2 blocks explains.

    Example:
        >>> board = torch.tensor([[1.0, 0], [0, 0]]).repeat(14, 14)[None, None]
        >>> round(checkerboard(board), 3)
        1.0
    """
    # Borders are darker whatever the decoder does.
    detail = (images - F.avg_pool2d(images, 3, 1, 1))[..., 2:-2, 2:-2]
    blocks = detail.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).movedim((-3, -1), (-2, -1)).flatten(-2)
    blocks = blocks.flatten(-3, -2)
    shares = blocks.mean(-2).var(-1, correction=0) / blocks.flatten(-2).var(-1, correction=0)
    return float(shares.mean())


def train(options: Any, enlarge: Callable[[int, int], nn.Module], seed: int) -> tuple[float, float, float]:  # noqa: ANN401 - of the command line
    """Train; return the checkerboard of the random decoder, that of the trained one, and the error of test images."""
    seed_everything(seed, verbose=False)
    data = digits(options, 5000, seed)
    data.setup("fit")
    data.setup("test")
    network = Autoencoder(data.in_channels, enlarge)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    tested = torch.cat([batch.images for batch in data.test_dataloader()]).float() / 255
    with torch.no_grad():
        before = checkerboard(network(tested[:500]))
    steps = 0
    while steps < (4 if options.fast else STEPS):
        for batch in data.train_dataloader():
            pixels = batch.images.float() / 255
            loss = F.mse_loss(network(pixels), pixels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
    with torch.no_grad():
        after = checkerboard(network(tested[:500]))
        error = sum(F.mse_loss(network(part), part, reduction="sum").item() for part in tested.split(1000))
    return before, after, error / tested.numel()


def main() -> None:
    """Train with each way of enlarging."""
    options = parse(__doc__)
    rows = []
    for name, enlarge in WAYS:
        runs = [train(options, enlarge, seed) for seed in options.seeds]
        rows.append([name, *(spread(column, 3) for column in zip(*runs, strict=True))])
    columns = ["enlarged by", "checkerboard, random weights", "checkerboard, trained", "error of test images"]
    save(options, __file__, [{"title": "Reconstructed digits", "columns": columns, "rows": rows}])


if __name__ == "__main__":
    main()
