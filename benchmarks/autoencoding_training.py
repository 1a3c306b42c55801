"""Training steps of an autoencoder on MNIST: the task against a plain PyTorch loop with the same network.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/autoencoding_training.py
"""

import copy
import logging
import sys
import tempfile
import time
import warnings

import torch
import torch.nn.functional as F
from common import alternate, data_root, report, setting
from mnist_training import OPTIMIZER, SKIPPED, STEPS, trainer_rate
from torch import Tensor, nn

from visiontasks import AutoencodingTask, MNISTDataModule
from visiontasks.data.datasets.memory import MemoryDataset

BACKBONE = {"filters": [32, 64, 128], "depth": [1, 2, 2], "kernel_size": [5, 3, 3], "stride": 2, "pool": "none"}


class Network(nn.Module):
    """The task's network without the task."""

    def __init__(self, task: AutoencodingTask) -> None:
        super().__init__()
        self.normalize, self.backbone, self.code, self.decoder = task.normalize, task.backbone, task.code, task.decoder

    def forward(self, images: Tensor) -> Tensor:
        """Compute the pixels."""
        codes = self.code.encode(self.backbone(self.normalize(images))[-1])
        pixels: Tensor = self.decoder(self.code.decode(codes), (28, 28)).sigmoid()
        return pixels


def plain_rate(network: nn.Module, dataset: MemoryDataset, batch: int) -> float:
    """Train in a plain loop over the tensors in memory and return samples per second."""
    images = dataset.pixels.permute(0, 3, 1, 2)
    optimizer = OPTIMIZER(network.parameters())
    order = torch.randperm(len(images))
    start = 0.0
    for step in range(STEPS):
        if step == SKIPPED:
            start = time.perf_counter()
        pixels = images[order[step * batch : (step + 1) * batch]].float() / 255
        loss = F.mse_loss(network(pixels), pixels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (STEPS - SKIPPED) * batch / (time.perf_counter() - start)


def same_work(task: AutoencodingTask, dataset: MemoryDataset) -> None:
    """Check that both sides have the same parameters, outputs and first loss."""
    network = Network(copy.deepcopy(task))
    pixels = dataset.pixels[:64].permute(0, 3, 1, 2).float() / 255
    outputs = copy.deepcopy(task)(pixels)
    made = network(pixels)
    torch.testing.assert_close(made, outputs.logits.sigmoid())
    loss = F.mse_loss(made, pixels)
    own = sum(parameter.numel() for parameter in task.parameters())
    assert own == sum(parameter.numel() for parameter in network.parameters())
    print(f"{own:,} parameters, first loss {loss.item():.4f}")


def main() -> int:
    """Measure; check first that both sides do the same work."""
    setting()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")
    source = data_root("MNIST/raw")
    torch.manual_seed(0)
    task = AutoencodingTask(
        code_size=32,
        in_channels=1,
        image_size=(28, 28),
        backbone_options=BACKBONE,
        normalization="unit",
        optimizer=OPTIMIZER,
    )
    met = []
    with tempfile.TemporaryDirectory() as folder:
        for batch in (128, 512):
            data = MNISTDataModule(source, batch_size=batch, val_size=1)
            data.setup("fit")
            loader = data.train_dataloader()
            same_work(task, data.train_set)
            sides = {
                "AutoencodingTask, MNISTDataModule, Trainer": lambda loader=loader, b=batch: trainer_rate(
                    lambda: copy.deepcopy(task), loader, folder, b, "32-true"
                ),
                "plain loop": lambda d=data, b=batch: plain_rate(Network(copy.deepcopy(task)), d.train_set, b),
            }
            ours, theirs = sides
            met.append(
                report(f"Training step, batch {batch}, against a plain loop", alternate(sides), ours, theirs, 0.93)
            )
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
