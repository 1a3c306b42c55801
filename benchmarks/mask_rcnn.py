"""Mask R-CNN of ResNet-50 and a pyramid against torchvision's: training steps, memory.

Command: python benchmarks/mask_rcnn.py [--rounds 5], and --memory ours or --memory torchvision

Both sides have the same weights, images, masks, anchors and numbers of proposals. The first loss is checked to be the
same for the same samples.
"""

import argparse
import copy
import resource
import statistics
import sys
import warnings
from collections.abc import Callable

import torch
from common import alternate, report, setting
from detection import first_losses, other_loss, own_loss, training
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from visiontasks.cli.hardware import default_precision
from visiontasks.detection.published import from_torchvision
from visiontasks.instance_masks import pack_masks
from visiontasks.tasks.instance_segmentation import InstanceSegmentationTask
from visiontasks.types import InstanceBatch

CLASSES = 20
HEIGHT, WIDTH, COUNT, OBJECTS = 360, 480, 2, 7


class Pair:
    """torchvision's detector and ours with equal weights, and a batch for both."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        backbone = resnet_fpn_backbone(
            backbone_name="resnet50", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
        )
        self.theirs = MaskRCNN(backbone, CLASSES + 1, min_size=HEIGHT, max_size=WIDTH)
        self.ours = InstanceSegmentationTask(CLASSES, backbone="resnet50")
        own = self.ours.state_dict()
        self.ours.load_state_dict({**own, **from_torchvision(self.theirs.state_dict())})
        self.images = [torch.rand(3, HEIGHT, WIDTH) for _ in range(COUNT)]
        corner = torch.rand(COUNT, OBJECTS, 2) * torch.tensor([WIDTH, HEIGHT]) * 0.6
        side = torch.rand(COUNT, OBJECTS, 2) * torch.tensor([WIDTH, HEIGHT]) * 0.35 + 16
        boxes, labels = torch.cat([corner, corner + side], 2), torch.randint(CLASSES, (COUNT, OBJECTS))
        boxes = torch.minimum(boxes, torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT]).float())
        y, x = torch.arange(HEIGHT)[:, None] + 0.5, torch.arange(WIDTH) + 0.5
        middle, radius = (boxes[..., :2] + boxes[..., 2:]) / 2, (boxes[..., 2:] - boxes[..., :2]) / 2
        across, down = (
            ((place - middle[..., axis, None, None]) / radius[..., axis, None, None]).square()
            for axis, place in ((0, x), (1, y))
        )
        masks = (across + down <= 1).to(torch.uint8)
        self.targets = [
            {"boxes": box, "labels": label + 1, "masks": mask}
            for box, label, mask in zip(boxes, labels, masks, strict=True)
        ]
        packed = [pack_masks(mask.numpy()) for mask in masks]
        bits = torch.zeros(COUNT, max(len(each) for each, _ in packed), dtype=torch.uint8)
        for row, (each, _) in zip(bits, packed, strict=True):
            row[: len(each)] = torch.from_numpy(each)
        padded = torch.zeros(COUNT, 3, -(-HEIGHT // 32) * 32, -(-WIDTH // 32) * 32)
        padded[..., :HEIGHT, :WIDTH] = torch.stack(self.images)
        sizes = torch.tensor([[HEIGHT, WIDTH]] * COUNT)
        ignore, scale = torch.zeros_like(labels, dtype=torch.bool), torch.ones(COUNT, 2)
        windows = torch.stack([torch.from_numpy(each) for _, each in packed])
        areas = boxes[..., 0]
        self.batch = InstanceBatch(
            padded, boxes, labels, ignore, sizes, scale, torch.arange(COUNT), areas, bits, windows, sizes
        )

    def check(self) -> None:
        """Compare parameters, and the first loss for the samples that ours drew."""
        loss, expected = first_losses(self.ours, self.theirs, self.batch, self.images, self.targets)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
        parameters = sum(value.numel() for value in self.ours.parameters())
        # Ours has no box and no mask for background.
        assert parameters == sum(value.numel() for value in self.theirs.parameters()) - 4 * 1025 - 257
        print(f"{parameters:,} parameters, first loss {loss.item():.5f}, torchvision's {expected.item():.5f}")


def peak(side: str) -> None:
    """Print the peak resident memory of one side in some training steps; each in a process of its own."""
    pair = Pair()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if side == "ours":
        task = pair.ours.to(memory_format=torch.channels_last)
        run = training(task, lambda task: own_loss(task, pair.batch), COUNT)
    else:
        run = training(pair.theirs, lambda model: other_loss(model, pair), COUNT)
    run()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{side}: peak {after / 1024:.0f} MB, {(after - before) / 1024:.0f} MB above the start")


def main() -> int:
    """Measure training steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", choices=("ours", "torchvision"), help="peak memory of one side")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    setting()
    if options.memory:
        peak(options.memory)
        return 0
    pair = Pair()
    pair.check()
    bf16 = default_precision("cpu") == "bf16-mixed"
    batch = pair.batch._replace(images=pair.batch.images.contiguous(memory_format=torch.channels_last))
    plain, defaults, torchvisions = "ours, float32", "ours, the command line's defaults", "torchvision"
    sides: dict[str, Callable[[], float]] = {}
    for name, low in ((plain, False), (defaults, bf16)):
        task = copy.deepcopy(pair.ours).to(memory_format=torch.channels_last)
        sides[name] = training(task, lambda task: own_loss(task, batch), COUNT, low)
    theirs = copy.deepcopy(pair.theirs)
    sides[torchvisions] = training(theirs, lambda model: other_loss(model, pair), COUNT)
    figures = alternate(sides, options.rounds)
    met = []
    for name, target in ((plain, 1.3), (defaults, 2.8)):
        title = f"training step, {WIDTH} x {HEIGHT}, batch {COUNT}, {OBJECTS} objects: {name}"
        met.append(report(title, {key: figures[key] for key in (name, torchvisions)}, name, torchvisions, target))
    print(f"  ms per image: {', '.join(f'{key} {1000 / statistics.median(v):.0f}' for key, v in figures.items())}")
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
