"""Localization of cards in a given time: the recipe against a plain PyTorch loop, on validation or test images.

The plain side is what one writes first: torchvision's ResNet-18 from random weights with one linear layer for class
and box, cross-entropy and smooth L1 on coordinates in 0 to 1, AdamW with warm-up and cosine, images of 160 x 160 with
random mirroring and colours, float32. Its schedule goes by the clock, and its last epoch is scored. The recipe's side
is a process of its own, run to its end, whose best epoch on the validation images is scored; the plain side then gets
as long.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/localization_accuracy.py --split test [--seeds 0 1 2]
"""

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from common import setting
from torch import Tensor, nn
from torchvision.models import resnet18

from visiontasks import VOCDataModule
from visiontasks.metrics.localization import localization_metrics

RECIPE = Path(__file__).parents[1] / "recipes" / "localization.py"
SIZE = 160
NAMES = ("mean_iou", "iou_50", "iou_75", "accuracy", "localization_error")


class Plain(nn.Module):
    """ResNet-18 with one linear layer for class and box."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.network = resnet18(weights=None, num_classes=num_classes + 4)
        self.mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        self.std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits, and boxes as xyxy in shares of the image."""
        outputs = self.network((images.float() / 255 - self.mean) / self.std)
        return outputs[:, :-4], outputs[:, -4:]


def train_plain(data: VOCDataModule, seconds: float) -> Plain:
    """Train for a given time, by which the learning rate rises and falls."""
    network = Plain(data.num_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    loader = data.train_dataloader()
    start, epoch = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # the samplers of VisionDataModule have it
        network.train()
        for batch in loader:
            share = (time.perf_counter() - start) / seconds
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * min(share / 0.05, (1 + math.cos(math.pi * min(1.0, share))) / 2)
            logits, boxes = network(batch.images)
            loss = F.cross_entropy(logits, batch.labels) + F.smooth_l1_loss(boxes, batch.boxes / SIZE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
    print(f"  plain: {epoch} epochs in {time.perf_counter() - start:.0f} s")
    return network


@torch.no_grad()
def score_plain(network: Plain, data: VOCDataModule) -> dict[str, float]:
    """Score the images of the split that stands for test."""
    data.setup("test")
    network.eval()
    metrics = localization_metrics(data.num_classes)
    for batch in data.test_dataloader():
        logits, boxes = network(batch.images)
        pixels = boxes.clamp(0, 1)[:, None].expand(-1, data.num_classes, -1) * SIZE
        for metric in metrics.values():
            metric.update(logits.softmax(1), pixels, batch.labels, batch.boxes)
    return {name: metrics[name].compute().item() for name in NAMES}


def run_recipe(root: Path, split: str, seed: int) -> tuple[dict[str, float], float]:
    """Run the recipe in a folder that is thrown away; return its scores and the seconds that it took in all."""
    command = [sys.executable, str(RECIPE), "--data.root", str(root), "--data.test", split]
    quiet = ["--trainer.enable_progress_bar", "false", "--seed_everything", str(seed)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([*command, *quiet], cwd=folder, capture_output=True, text=True, check=True)
    found = {name: re.search(rf"test/{name}\s+([\d.]+)", done.stdout) for name in NAMES}
    return {name: float(match[1]) for name, match in found.items() if match}, time.perf_counter() - start


def main() -> int:
    """Run both sides for each seed and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("val", "test"), default="val", help="what is scored (default: val)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    root = Path(os.environ.get("VISIONTASKS_DATA", "")) / "cards"
    if not root.is_dir():
        print("skipped: set VISIONTASKS_DATA to a folder that holds cards.")
        return 0
    setting()
    rows: dict[str, list[dict[str, float]]] = {"recipe": [], "plain": []}
    for seed in options.seeds:
        scores, seconds = run_recipe(root, options.split, seed)
        show("recipe", seed, seconds, scores)
        torch.manual_seed(seed)
        data = VOCDataModule(
            root,
            "localization",
            image_size=(SIZE, SIZE),
            test=options.split,
            batch_size=16,
            drop_last=True,
            num_workers=0,
            cache=True,
            seed=seed,
        )
        data.setup("fit")
        plain = score_plain(train_plain(data, seconds), data)
        show("plain", seed, seconds, plain)
        rows["recipe"].append(scores)
        rows["plain"].append(plain)
    for side, found in rows.items():
        means = {name: sum(row[name] for row in found) / len(found) for name in NAMES}
        show(f"{side}, mean", None, None, means)
    return 0 if all(met(row) for row in rows["recipe"]) else 1


def met(scores: dict[str, float]) -> bool:
    """Tell whether a mean IoU of 0.75 and a localization accuracy of 0.55 were reached."""
    return scores["mean_iou"] >= 0.75 and 1 - scores["localization_error"] >= 0.55


def show(side: str, seed: int | None, seconds: float | None, scores: dict[str, float]) -> None:
    """Print one line of scores."""
    which = "" if seed is None else f" seed {seed}, {seconds:.0f} s:"
    listed = ", ".join(f"{name} {scores[name]:.3f}" for name in NAMES[:-1])
    print(f"{side}{which} {listed}, localization accuracy {1 - scores['localization_error']:.3f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
