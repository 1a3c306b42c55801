"""Faster R-CNN of ResNet-18 and a pyramid against torchvision's: training steps and inference, memory.

Command: python benchmarks/detection.py [--rounds 5] [--cases 0 1], and --memory ours or --memory torchvision

Both sides have the same weights, images, anchors and numbers of proposals. The first loss is checked to be the same for
the same samples, and the detections too.
"""

import argparse
import copy
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from common import alternate, report, setting
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from visiontasks.cli.hardware import default_precision
from visiontasks.detection.boxes import is_box
from visiontasks.detection.published import from_torchvision
from visiontasks.detection.sampler import Sample, Sampler
from visiontasks.tasks.detection import DetectionTask
from visiontasks.types import DetectionBatch

CLASSES = 20
CASES = ((240, 320, 2), (360, 480, 4))
STEPS = 2


class Pair:
    """torchvision's detector and ours with equal weights, and a batch for both."""

    def __init__(self, height: int, width: int, count: int, name: str = "resnet18") -> None:
        torch.manual_seed(0)
        backbone = resnet_fpn_backbone(backbone_name=name, weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d)
        self.theirs = FasterRCNN(backbone, CLASSES + 1, min_size=height, max_size=width)
        self.ours = DetectionTask(CLASSES, backbone=name)
        own = self.ours.state_dict()
        self.ours.load_state_dict({**own, **from_torchvision(self.theirs.state_dict())})
        self.images = [torch.rand(3, height, width) for _ in range(count)]
        corner = torch.rand(count, 7, 2) * torch.tensor([width, height]) * 0.6
        side = torch.rand(count, 7, 2) * torch.tensor([width, height]) * 0.35 + 16
        boxes, labels = torch.cat([corner, corner + side], 2), torch.randint(CLASSES, (count, 7))
        boxes = torch.minimum(boxes, torch.tensor([width, height, width, height]).float())
        self.targets = [{"boxes": b, "labels": k + 1} for b, k in zip(boxes, labels, strict=True)]
        padded = torch.zeros(count, 3, -(-height // 32) * 32, -(-width // 32) * 32)
        padded[..., :height, :width] = torch.stack(self.images)
        sizes = torch.tensor([[height, width]] * count)
        ignore, scale = torch.zeros_like(labels, dtype=torch.bool), torch.ones(count, 2)
        self.batch = DetectionBatch(padded, boxes, labels, ignore, sizes, scale, torch.arange(count), boxes[..., 0])

    def check(self) -> None:
        """Compare first loss, for the samples that ours drew, and detections."""
        loss, expected = first_losses(self.ours, self.theirs, self.batch, self.images, self.targets)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)
        parameters = sum(value.numel() for value in self.ours.parameters())
        # Ours has no box for background.
        assert parameters == sum(value.numel() for value in self.theirs.parameters()) - 4 * 1025
        print(f"{parameters:,} parameters, first loss {loss.item():.5f}, torchvision's {expected.item():.5f}")


def first_losses(
    task: DetectionTask,
    model: FasterRCNN,
    batch: Any,
    images: list[Tensor],
    targets: list[dict[str, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Compute the first loss of both, for the samples of anchors and proposals that ours draws."""
    ours, theirs = copy.deepcopy(task).train(), copy.deepcopy(model).train()
    drawn: list[tuple[Tensor, Sample]] = []

    def recorded(sampler: Sampler) -> Callable[..., Sample]:
        def draw(states: Tensor, at_random: bool = True) -> Sample:
            drawn.append((states, sampler(states, at_random)))
            return drawn[-1][1]

        draw.most_positives = sampler.most_positives  # type: ignore[attr-defined]  # as the sampler has it
        return draw

    def replay(number: int, kept: list[Tensor] | None) -> Callable[[Any], tuple[list[Tensor], list[Tensor]]]:
        def draw(labels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            states, sample = drawn[number]
            masks = torch.zeros_like(states).scatter(1, sample.indices, 1)
            rows = [mask if kept is None else mask[kept[image]] for image, mask in enumerate(masks)]
            kinds = [state if kept is None else state[kept[image]] for image, state in enumerate(states)]
            pairs = list(zip(rows, kinds, strict=True))
            return [mask * (kind == 1) for mask, kind in pairs], [mask * (kind == 0) for mask, kind in pairs]

        return draw

    assert ours.rpn is not None
    object.__setattr__(ours.roi_head, "sampler", recorded(ours.roi_head.sampler))
    object.__setattr__(ours.rpn, "sampler", recorded(ours.rpn.sampler))
    outputs = ours(*ours.inputs(batch))
    loss = torch.stack(list(ours.losses(outputs, batch).values())).sum()
    candidates = torch.cat([outputs.proposals, batch.boxes], 1)
    own = [boxes[is_box(boxes)] for boxes in outputs.proposals]
    theirs.rpn.filter_proposals = lambda *_: (own, None)
    theirs.roi_heads.fg_bg_sampler = replay(0, [is_box(boxes).nonzero().flatten() for boxes in candidates])
    theirs.rpn.fg_bg_sampler = replay(1, None)
    expected = torch.stack(list(theirs(images, targets).values())).sum()
    return loss.detach(), expected.detach()


def own_loss(task: DetectionTask, batch: Any) -> Tensor:
    """Compute the loss of ours."""
    return torch.stack(list(task.losses(task(*task.inputs(batch)), batch).values())).sum()


def other_loss(model: FasterRCNN, pair: Any) -> Tensor:
    """Compute the loss of torchvision's."""
    return torch.stack(list(model(pair.images, pair.targets).values())).sum()


def training(model: nn.Module, loss: Callable[[Any], Tensor], count: int, bf16: bool = False) -> Callable[[], float]:
    """Make a side: some training steps, in images per second."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, momentum=0.9)

    def run() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                value = loss(model)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
        return STEPS * count / (time.perf_counter() - start)

    return run


def inference(model: nn.Module, predict: Callable[[Any], Any], count: int, bf16: bool = False) -> Callable[[], float]:
    """Make a side: some predictions, in images per second."""
    model.eval()

    def run() -> float:
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            for _ in range(STEPS):
                predict(model)
        return STEPS * count / (time.perf_counter() - start)

    return run


def measure(height: int, width: int, count: int, rounds: int) -> list[bool]:
    """Measure one size."""
    pair = Pair(height, width, count)
    pair.check()
    bf16 = default_precision("cpu") == "bf16-mixed"
    batch = pair.batch._replace(images=pair.batch.images.contiguous(memory_format=torch.channels_last))
    plain, defaults, torchvisions = "ours, float32", "ours, the command line's defaults", "torchvision"
    met = []
    for kind in ("training step", "inference"):
        sides: dict[str, Callable[[], float]] = {}
        for name, low in ((plain, False), (defaults, bf16)):
            task = copy.deepcopy(pair.ours).to(memory_format=torch.channels_last)
            if kind == "inference":
                sides[name] = inference(task, lambda task: task.predict(task(*task.inputs(batch))), count, low)
            else:
                sides[name] = training(task, lambda task: own_loss(task, batch), count, low)
        theirs = copy.deepcopy(pair.theirs)
        if kind == "inference":
            sides[torchvisions] = inference(theirs, lambda model: model(pair.images), count)
        else:
            sides[torchvisions] = training(theirs, lambda model: other_loss(model, pair), count)
        figures = alternate(sides, rounds)
        for name, target in ((plain, 1.35), (defaults, 2.8)):
            title = f"{kind}, {width} x {height}, batch {count}: {name}"
            compared = {key: figures[key] for key in (name, torchvisions)}
            met.append(report(title, compared, name, torchvisions, target))
        print(f"  ms per image: {', '.join(f'{key} {1000 / statistics.median(v):.0f}' for key, v in figures.items())}")
    return met


def peak(side: str, height: int, width: int, count: int) -> None:
    """Print the peak resident memory of one side in some training steps; each in a process of its own."""
    pair = Pair(height, width, count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if side == "ours":
        task = pair.ours.to(memory_format=torch.channels_last)
        run = training(task, lambda task: own_loss(task, pair.batch), count)
    else:
        run = training(pair.theirs, lambda model: other_loss(model, pair), count)
    run()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{side}: peak {after / 1024:.0f} MB, {(after - before) / 1024:.0f} MB above the start")


def main() -> int:
    """Measure all sizes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", type=int, nargs="+", default=[0, 1], help="which of the sizes, the small one is 0")
    parser.add_argument("--memory", choices=("ours", "torchvision"), help="peak memory of one side")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    setting()
    if options.memory:
        peak(options.memory, *CASES[1])
        return 0
    cases = [CASES[index] for index in options.cases]
    return 0 if all([all(measure(*case, options.rounds)) for case in cases]) else 1


if __name__ == "__main__":
    sys.exit(main())
