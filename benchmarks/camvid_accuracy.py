"""The CamVid recipe against segmentation_models.pytorch's U-Net ResNet-18 in the same CPU time, on the test images.

The other side is plain PyTorch, as its users write it: crops of 256 x 256 (its images are multiples of 32), flips,
cross-entropy, Adam on half a cosine, random weights and float32; what the last step leaves is scored.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/camvid_accuracy.py [--seed 0] [--seconds S]   (FOLDER holds CamVid;
with --seconds the recipe is not run, and the other side gets as many)
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from common import data_root, half_cosine, run_recipe, setting
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from visiontasks.metrics.confusion import ConfusionMatrix

MEAN, STD = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
CROP, BATCH, CLASSES, VOID = 256, 8, 11, 11
TARGET = 0.477


class CamVid(Dataset[tuple[Tensor, Tensor]]):
    """A split of CamVid in memory."""

    def __init__(self, root: Path, split: str, augment: bool) -> None:
        pairs = [line.split() for line in (root / f"{split}.txt").read_text().splitlines() if line.strip()]
        self.images = [np.array(Image.open(root / image).convert("RGB")) for image, _ in pairs]
        self.masks = [np.array(Image.open(root / mask)) for _, mask in pairs]
        self.augment = augment

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """Make a sample."""
        image, mask = self.images[index], self.masks[index]
        if self.augment:
            top, left = (int(torch.randint(side - CROP + 1, ())) for side in mask.shape)
            image, mask = (x[top : top + CROP, left : left + CROP] for x in (image, mask))
            if torch.rand(()) < 0.5:
                image, mask = image[:, ::-1], mask[:, ::-1]
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float() / 255
        return (pixels - MEAN) / STD, torch.from_numpy(np.ascontiguousarray(mask)).long()


def train(root: Path, seconds: float) -> smp.Unet:
    """Train for a given CPU time, over which the learning rate falls."""
    network = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(CamVid(root, "train", augment=True), BATCH, shuffle=True, drop_last=True)
    start, epochs = time.process_time(), 0
    while time.process_time() - start < seconds:
        for images, masks in loader:
            half_cosine(optimizer, 1e-3, (time.process_time() - start) / seconds)
            loss = F.cross_entropy(network(images), masks, ignore_index=VOID)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epochs += 1
    print(f"  {epochs} epochs in {time.process_time() - start:.0f} s of CPU time")
    return network


@torch.inference_mode()
def score(network: smp.Unet, root: Path) -> dict[str, Tensor]:
    """Score the test images."""
    matrix = ConfusionMatrix(CLASSES)
    network.eval()
    test = CamVid(root, "test", augment=False)
    for image, mask in (test[index] for index in range(len(test))):
        padded = F.pad(image[None], (0, -image.shape[2] % 32, 0, -image.shape[1] % 32))
        labels = network(padded)[..., : image.shape[1], : image.shape[2]].max(1).indices
        matrix.update(labels, torch.where(mask == VOID, 255, mask).to(torch.uint8)[None])
    return matrix.compute()


def main() -> int:
    """Run both sides and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="CPU time of the other side, without running the recipe")
    options = parser.parse_args()
    root = data_root("CamVid") / "CamVid"
    setting()
    ours: dict[str, float] = {}
    seconds: float | None = options.seconds
    if seconds is None:
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["--data.root", str(root), "--seed_everything", str(options.seed)]
            ours, seconds = run_recipe("camvid_segmentation", arguments, folder)
        print(f"recipe, {seconds:.0f} s of CPU time: {ours}", flush=True)
    torch.manual_seed(options.seed)
    theirs = score(train(root, seconds), root)
    print({name: round(value.item(), 4) for name, value in theirs.items() if value.ndim == 0})
    print("IoU of each class:", [round(value, 3) for value in theirs["iou"].tolist()])
    met = ours.get("miou", 1.0) >= TARGET
    if ours:
        print(f"mean IoU {ours['miou']:.4f}, target {TARGET}: {'met' if met else 'NOT MET'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
