"""Training step against segmentation_models.pytorch's U-Net, and metric update against torchmetrics' MeanIoU.

Both networks are a ResNet-18 with a decoder of 256, 128, 64, 32 and 16 channels to the pixels of the image, batch 4 at
352 x 480 (theirs refuses 360, which is no multiple of 32), cross-entropy with ignored pixels, AdamW. Ours counts the
normalisation of uint8 images in.

Command: python benchmarks/segmentation.py   (needs segmentation-models-pytorch; without it the metric alone)
"""

import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from importlib.util import find_spec

import torch
import torch.nn.functional as F
from common import alternate, report, setting
from torch import Tensor, nn
from torchmetrics.segmentation import MeanIoU

from visiontasks import SegmentationTask
from visiontasks.cli.hardware import default_precision
from visiontasks.metrics.confusion import ConfusionMatrix
from visiontasks.types import SegmentationBatch

BATCH, HEIGHT, WIDTH, CLASSES, STEPS, ROUNDS = 4, 352, 480, 11, 2, 7


class Theirs(nn.Module):
    """The other network with the loss that a user would write."""

    def __init__(self) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        self.network = smp.Unet("resnet18", encoder_weights=None, classes=CLASSES)

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Compute the loss."""
        return F.cross_entropy(self.network(images).float(), masks, ignore_index=255)


class Ours(nn.Module):
    """Our task's network and loss."""

    def __init__(self) -> None:
        super().__init__()
        self.task = SegmentationTask(CLASSES, backbone="resnet18")

    def forward(self, batch: SegmentationBatch) -> Tensor:
        """Compute the loss."""
        (loss,) = self.task.losses(self.task(batch.images), batch).values()
        return loss


def rate(network: nn.Module, inputs: tuple[object, ...], autocast: bool) -> Callable[[], float]:
    """Prepare a measurement of training steps in images per second."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=0.05)

    def measure() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            with torch.autocast("cpu", torch.bfloat16) if autocast else nullcontext():
                loss = network(*inputs)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return STEPS * BATCH / (time.perf_counter() - start)

    return measure


def steps() -> list[bool]:
    """Measure training steps."""
    pixels = torch.randint(256, (BATCH, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    masks = torch.randint(CLASSES, (BATCH, HEIGHT, WIDTH), dtype=torch.uint8)
    masks[:, :20] = 255
    first = pixels.permute(0, 3, 1, 2).contiguous()
    sizes = torch.tensor([[HEIGHT, WIDTH]] * BATCH)
    ours_first = SegmentationBatch(first, masks, sizes, torch.ones(BATCH, 2), torch.arange(BATCH))
    ours_last = ours_first._replace(images=pixels.permute(0, 3, 1, 2))
    theirs_first = first.float() / 255
    theirs_last = theirs_first.to(memory_format=torch.channels_last)
    bf16 = default_precision("cpu") == "bf16-mixed"
    defaults = f"ours, defaults ({'bf16' if bf16 else 'float32'}, channels-last)"
    same = defaults.replace("ours, defaults", "smp")

    def last(network: nn.Module) -> nn.Module:
        return network.to(memory_format=torch.channels_last)

    sides = {
        "smp, float32": rate(Theirs(), (theirs_first, masks.long()), False),
        "ours, float32": rate(Ours(), (ours_first,), False),
        same: rate(last(Theirs()), (theirs_last, masks.long()), bf16),
        defaults: rate(last(Ours()), (ours_last,), bf16),
    }
    for name, network in (("smp", Theirs()), ("ours", Ours())):
        print(f"{name}: {sum(parameter.numel() for parameter in network.parameters()):,} parameters")
    figures = alternate(sides, ROUNDS)
    return [
        report("training step, same settings", figures, "ours, float32", "smp, float32", 1 / 0.9),
        report("training step, same settings", figures, defaults, same, 1 / 0.9),
        report("training step, defaults against float32", figures, defaults, "smp, float32", 2.0),
    ]


def metrics() -> list[bool]:
    """Measure the update of the metric from the class map, batch 8 at 360 x 480, 12 classes."""
    logits = torch.randn(8, 12, 360, 480)
    labels = logits.max(1).indices
    masks = torch.randint(12, labels.shape, dtype=torch.uint8)
    matrix, mean_iou = ConfusionMatrix(12), MeanIoU(12, input_format="index")
    target = masks.long()
    mean_iou.update(labels, target)
    matrix.update(labels, masks)
    scores = matrix.compute()
    print(f"\nmean IoU: ours {scores['miou']:.4f}, theirs {mean_iou.compute():.4f} (the mean of the batches' means)")

    def timed(update: Callable[[], None], count: int) -> Callable[[], float]:
        def measure() -> float:
            start = time.perf_counter()
            for _ in range(count):
                update()
            return 8 * count / (time.perf_counter() - start)

        return measure

    def class_map() -> None:
        logits.max(1)

    figures = alternate(
        {
            "ours": timed(lambda: matrix.update(labels, masks), 10),
            "torchmetrics": timed(lambda: mean_iou.update(labels, target), 1),
            "the class map, max(1)": timed(class_map, 3),
        },
        ROUNDS,
    )
    milliseconds = 8000 / sorted(figures["ours"])[ROUNDS // 2]
    verdict = "met" if milliseconds <= 4 else "NOT MET"
    met = report("update of the metric", figures, "ours", "torchmetrics", 30)
    print(f"  ours: {milliseconds:.2f} ms a batch beyond the class map, target at most 4 ms: {verdict}")
    return [met, milliseconds <= 4]


def main() -> int:
    """Measure both."""
    setting()
    met = metrics()
    if find_spec("segmentation_models_pytorch") is None:
        print("skipped: the training step needs segmentation-models-pytorch.")
    else:
        met += steps()
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
