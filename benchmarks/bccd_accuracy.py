"""The BCCD recipe against torchvision's Faster R-CNN in the same CPU time.

The other side is torchvision's FasterRCNN with ResNet-18 and a pyramid from random weights, written as its reference
scripts are: images of 320 x 240 that are mirrored either way at random, batches of 4, AdamW with warm-up and half a
cosine, gradients clipped, float32. It gets anchors of the recipe's sizes, since its own find no platelets at this size.
Its weights after the last step are scored by pycocotools, and those of the recipe's best epoch on the validation
images.

Command: VISIONTASKS_DATA=FOLDER python benchmarks/bccd_accuracy.py [--seed 0] [--seconds S]   (FOLDER holds BCCD; with
--seconds the recipe is not run, and the other side gets as many)
"""

import argparse
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from common import data_root, half_cosine, run_recipe, setting
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.io import decode_image
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat, Image

Target = dict[str, Tensor]
SHORT, LONG, BATCH, RATE, CLASSES = 240, 320, 4, 3e-4, 3
TARGETS = {"map": 0.58, "map_50": 0.91}


class BloodCells(Dataset[tuple[Tensor, Target]]):
    """A split of BCCD in the form of COCO."""

    def __init__(self, root: Path, split: str, augment: bool) -> None:
        with redirect_stdout(StringIO()):
            self.coco = COCO(str(root / "annotations" / f"instances_{split}.json"))
        self.ids = sorted(self.coco.imgs)
        self.categories = sorted(self.coco.cats)
        folder = root / "VOCdevkit" / "VOC2007" / "JPEGImages"
        self.images = [decode_image(str(folder / self.coco.imgs[number]["file_name"])) for number in self.ids]
        flips = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip(), v2.SanitizeBoundingBoxes()] if augment else []
        self.transform = v2.Compose([*flips, v2.ToDtype(torch.float32, scale=True)])

    def __len__(self) -> int:
        """Count the images."""
        return len(self.ids)

    def __getitem__(self, index: int) -> tuple[Tensor, Target]:
        """Make a sample."""
        image, objects = self.images[index], self.coco.imgToAnns[self.ids[index]]
        corners = torch.tensor([found["bbox"] for found in objects], dtype=torch.float32).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        boxes = BoundingBoxes(corners, format=BoundingBoxFormat.XYXY, canvas_size=image.shape[1:])
        labels = torch.tensor([1 + self.categories.index(found["category_id"]) for found in objects])
        pixels, target = self.transform(Image(image), {"boxes": boxes, "labels": labels})
        return pixels, target


def in_columns(samples: list[tuple[Tensor, Target]]) -> tuple[Any, ...]:
    """Put images into one tuple and targets into another, as torchvision's detectors take them."""
    return tuple(zip(*samples, strict=True))


def train(root: Path, seconds: float) -> FasterRCNN:
    """Train for a given CPU time, over which the learning rate rises and falls."""
    backbone = resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
    )
    anchors = AnchorGenerator(tuple((4 * stride,) for stride in (4, 8, 16, 32, 64)), ((0.5, 1.0, 2.0),) * 5)
    network = FasterRCNN(backbone, CLASSES + 1, min_size=SHORT, max_size=LONG, rpn_anchor_generator=anchors)
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    data = BloodCells(root, "train", augment=True)
    loader = DataLoader(
        data, BATCH, shuffle=True, drop_last=True, collate_fn=lambda rows: tuple(zip(*rows, strict=True))
    )
    start, epochs = time.process_time(), 0
    while time.process_time() - start < seconds:
        for images, targets in loader:
            half_cosine(optimizer, RATE, (time.process_time() - start) / seconds, warm_up=0.05)
            loss = sum(network(images, targets).values())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimizer.step()
        epochs += 1
    print(f"  {epochs} epochs in {time.process_time() - start:.0f} s of CPU time")
    return network


@torch.inference_mode()
def score(network: FasterRCNN, root: Path, split: str) -> dict[str, float]:
    """Score the images of a split."""
    data = BloodCells(root, split, augment=False)
    network.eval()
    results: list[dict[str, Any]] = []
    for number, image in zip(data.ids, (data[index][0] for index in range(len(data))), strict=True):
        (found,) = network([image])
        columns = (found[name].tolist() for name in ("boxes", "labels", "scores"))
        for box, label, value in zip(*columns, strict=True):
            corner = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            category = data.categories[label - 1]
            results.append({"image_id": number, "category_id": category, "bbox": corner, "score": value})
    with redirect_stdout(StringIO()):
        evaluation = COCOeval(data.coco, data.coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"map": evaluation.stats[0], "map_50": evaluation.stats[1]}


def main() -> int:
    """Run both sides and print their scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("val", "test"), default="val", help="what is scored (default: val)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, help="CPU time of the other side, without running the recipe")
    options = parser.parse_args()
    root = data_root("BCCD") / "BCCD"
    setting()
    met, seconds = True, options.seconds
    if seconds is None:
        annotations = f"annotations/instances_{options.split}.json"
        arguments = ["--data.root", str(root), "--data.test", annotations, "--seed_everything", str(options.seed)]
        with tempfile.TemporaryDirectory() as folder:
            ours, seconds = run_recipe("bccd_detection", arguments, folder)
        met = all(ours[name] >= target for name, target in TARGETS.items())
        print(
            f"recipe, {seconds:.0f} s of CPU time: {ours}, targets {TARGETS}: {'met' if met else 'NOT MET'}", flush=True
        )
    torch.manual_seed(options.seed)
    print("torchvision:", score(train(root, seconds), root, options.split))
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
