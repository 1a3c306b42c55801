"""Localization of cards in a given time: the recipe against a plain PyTorch loop, on validation or test images.

The plain side is what one writes first: torchvision's ResNet-18 from random weights with one linear layer for class
and box, cross-entropy and smooth L1 on coordinates in 0 to 1, AdamW with warm-up and cosine, images of 160 x 160 with
random mirroring and colours, float32. Its schedule goes by the CPU time, and its last epoch is scored. The recipe's
side is a process of its own, run to its end, whose best epoch on the validation images is scored; the plain side then
gets as much CPU time, which other work on the machine does not change.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/localization_accuracy.py --split test [--seeds 0 1 2]
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from common import data_root, half_cosine, run_recipe, setting
from torch import Tensor, nn
from torchvision.models import resnet18

from visiontasks import LocalizationTask, VOCDataModule
from visiontasks.losses.box import paired_iou

SIZE = 160


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
    """Train for a given time, over which the learning rate rises and falls."""
    network = Plain(data.num_classes)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)
    loader = data.train_dataloader()
    start, epoch = time.process_time(), 0
    while time.process_time() - start < seconds:
        loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # the samplers of VisionDataModule have it
        network.train()
        for batch in loader:
            share = (time.process_time() - start) / seconds
            half_cosine(optimizer, 1e-3, share, warm_up=0.05)
            logits, boxes = network(batch.images)
            loss = F.cross_entropy(logits, batch.labels) + F.smooth_l1_loss(boxes, batch.boxes / SIZE)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
    print(f"  plain: {epoch} epochs in {time.process_time() - start:.0f} s of CPU time")
    return network


@torch.no_grad()
def score(predict: Callable[[Tensor], tuple[Tensor, Tensor]], data: VOCDataModule) -> Tensor:
    """Score the images of the split that stands for test.

    Args:
        predict: Computes class and box in pixels of each image.
        data: The images.

    Returns:
        IoU, and whether the class is right, of each image, [N, 2].
    """
    data.setup("test")
    rows = []
    for batch in data.test_dataloader():
        labels, boxes = predict(batch.images)
        rows.append(torch.stack([paired_iou(boxes, batch.boxes), (labels == batch.labels).float()], 1))
    return torch.cat(rows)


def predict_plain(network: Plain) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Make a function of the network for :func:`score`."""
    network.eval()

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        logits, boxes = network(images)
        return logits.argmax(1), boxes.clamp(0, 1) * SIZE

    return predict


def predict_task(task: LocalizationTask) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Make a function of the task for :func:`score`."""
    task.eval()

    def predict(images: Tensor) -> tuple[Tensor, Tensor]:
        predictions = task.predict(task(images))
        return predictions.labels, predictions.boxes

    return predict


def score_recipe(root: Path, split: str, seed: int, data: VOCDataModule) -> tuple[Tensor, float]:
    """Run the recipe in a folder that is thrown away; score the weights that it tested; return the CPU time as well."""
    arguments = ["--data.root", str(root), "--data.test", split, "--seed_everything", str(seed)]
    with tempfile.TemporaryDirectory() as folder:
        printed, seconds = run_recipe("localization", arguments, folder)
        (checkpoint,) = (path for path in Path(folder).rglob("*.ckpt") if path.name != "last.ckpt")
        scores = score(predict_task(LocalizationTask.load_from_checkpoint(checkpoint)), data)
    assert abs(printed["mean_iou"] - scores[:, 0].mean()) < 0.005, (printed, scores[:, 0].mean())  # it computes in bf16
    return scores, seconds


def main() -> int:
    """Run both sides for each seed and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("val", "test"), default="val", help="what is scored (default: val)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    root = data_root("cards") / "cards"
    setting()
    sides: dict[str, list[Tensor]] = {"recipe": [], "plain": []}
    for seed in options.seeds:
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
        scores, seconds = score_recipe(root, options.split, seed, data)
        show(f"recipe, seed {seed}, {seconds:.0f} s", scores)
        sides["recipe"].append(scores)
        sides["plain"].append(score(predict_plain(train_plain(data, seconds)), data))
        show(f"plain, seed {seed}", sides["plain"][-1])
    for side, found in sides.items():
        show(f"{side}, {len(found)} seeds", torch.stack(found, 1))
    return 0 if all(met(scores) for scores in sides["recipe"]) else 1


def values(scores: Tensor) -> dict[str, Tensor]:
    """Compute mean values over everything but the first dimension, from overlap and whether the class is right."""
    overlap, right = scores.flatten(1, -2).unbind(-1)
    found = {
        "mean IoU": overlap,
        "IoU >= 0.5": (overlap >= 0.5).float(),
        "IoU >= 0.75": (overlap >= 0.75).float(),
        "accuracy": right,
        "localization accuracy": right * (overlap >= 0.5),
    }
    return {name: value.mean(1) for name, value in found.items()}


def met(scores: Tensor) -> bool:
    """Tell whether a mean IoU of 0.75 and a localization accuracy of 0.55 were reached."""
    means = values(scores[None])
    return means["mean IoU"].item() >= 0.75 and means["localization accuracy"].item() >= 0.55


def show(side: str, scores: Tensor) -> None:
    """Print means, and their 95 % interval by bootstrapping the images, each with all its seeds."""
    drawn = torch.randint(len(scores), (10_000, len(scores)), generator=torch.Generator().manual_seed(0))
    ends = {name: value.quantile(torch.tensor([0.025, 0.975])) for name, value in values(scores[drawn]).items()}
    means = values(scores[None])
    parts = [f"{name} {means[name].item():.3f} ({low:.3f} to {high:.3f})" for name, (low, high) in ends.items()]
    print(f"{side}: {', '.join(parts)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
