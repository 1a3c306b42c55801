"""segmentation_models.pytorch's U-Net ResNet-18 on CamVid for so many minutes: plain PyTorch, as its users write it.

Crops of 256 x 256 (its images are multiples of 32), flips, cross-entropy, Adam on half a cosine, random weights and
float32; what the last step leaves is scored on the test images. The other side is recipes/camvid_segmentation.py.

Command: python benchmarks/camvid_against_smp.py FOLDER [MINUTES]   (FOLDER holds CamVid's train.txt, val.txt, test.txt)
"""

import sys
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from common import setting
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from visiontasks.metrics.confusion import ConfusionMatrix

MEAN, STD = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
CROP, BATCH, CLASSES, VOID = 256, 8, 11, 11


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


def main(root: Path, minutes: float) -> None:
    """Train, then score."""
    setting()
    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = DataLoader(CamVid(root, "train", augment=True), BATCH, shuffle=True, drop_last=True)
    start, epochs = time.perf_counter(), 0
    while time.perf_counter() - start < 60 * minutes:
        for images, masks in loader:
            # The rate falls along half a cosine over the minutes that there are.
            done = min(1.0, (time.perf_counter() - start) / (60 * minutes))
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 + np.cos(np.pi * done)) / 2
            loss = F.cross_entropy(network(images), masks, ignore_index=VOID)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epochs += 1
    seconds = time.perf_counter() - start
    matrix = ConfusionMatrix(CLASSES)
    network.eval()
    with torch.inference_mode():
        test = CamVid(root, "test", augment=False)
        for image, mask in (test[index] for index in range(len(test))):
            padded = F.pad(image[None], (0, -image.shape[2] % 32, 0, -image.shape[1] % 32))
            labels = network(padded)[..., : image.shape[1], : image.shape[2]].max(1).indices
            matrix.update(labels, torch.where(mask == VOID, 255, mask).to(torch.uint8)[None])
    scores = matrix.compute()
    print(f"{epochs} epochs in {seconds:.0f} s")
    print(", ".join(f"{name} {value:.4f}" for name, value in scores.items() if value.ndim == 0))
    print("IoU of each class:", [round(value, 3) for value in scores["iou"].tolist()])


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 20.0)
