"""The training steps that gpu.py compares: each side's network and loss, which are checked to do the same work."""

import copy
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
import torchvision
from detection import CLASSES, Pair, other_loss, own_loss
from torch import Tensor, nn

from visiontasks import ClassificationBatch, ClassificationTask, SegmentationBatch, SegmentationTask
from visiontasks.tasks.compilation import compile_regions
from visiontasks.tasks.task import Task


class Contest(NamedTuple):
    """A training step of ours and of another library.

    Attributes:
        name: What is trained.
        images: Number of images in a batch.
        theirs: Name of the other library.
        networks: Creates our task and the other network.
        losses: Loss of each side in a step.
        regions: Parts of the other network that are compiled, each by itself; of ours those of ``--compile``.
        least: Minimum images/s on an H200, and a higher number that is hoped for; None without.
    """

    name: str
    images: int
    theirs: str
    networks: Callable[[], tuple[Task, nn.Module]]
    losses: tuple[Callable[[Any], Tensor], Callable[[Any], Tensor]]
    regions: Callable[[Any], list[nn.Module]]
    least: tuple[float, float | None] | None = None


def compile_side(network: nn.Module, contest: Contest, backend: str) -> None:
    """Compile the regions of a network; of a task those that ``--compile`` compiles.

    Args:
        network: The network; changed in place.
        contest: Knows the regions of a network that is no task.
        backend: Of ``torch.compile``.
    """
    if isinstance(network, Task):
        compile_regions(network, backend=backend)
        return
    for region in contest.regions(network):
        region.compile(backend=backend)


def parameters_of(network: nn.Module) -> int:
    """Count the parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def classification(device: torch.device, *, tiny: bool) -> Contest:
    """ResNet-50 at 224 x 224 beside torchvision's, with the normalisation counted in on our side alone."""
    name, side, count = ("resnet18", 32, 4) if tiny else ("resnet50", 224, 256)
    classes = 1000
    torch.manual_seed(0)
    pixels = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, device=device)
    labels = torch.randint(classes, (count,), device=device)
    batch = ClassificationBatch(pixels.permute(0, 3, 1, 2), labels, torch.arange(count, device=device))

    def networks() -> tuple[Task, nn.Module]:
        torch.manual_seed(0)
        theirs = torchvision.models.get_model(name, weights=None, num_classes=classes)
        ours = ClassificationTask(classes, backbone=name)
        weights = theirs.state_dict()
        ours.head.linear.load_state_dict({key: weights.pop(f"fc.{key}") for key in ("weight", "bias")})
        ours.backbone.load_state_dict(weights)
        return ours.to(device), theirs.to(device)

    def own(task: Task) -> Tensor:
        (loss,) = task.losses(task(batch.images), batch).values()
        return loss

    ours, theirs = networks()
    normalized = ours.normalize(batch.images).contiguous(memory_format=torch.channels_last)

    def other(network: nn.Module) -> Tensor:
        return F.cross_entropy(network(normalized).float(), labels)

    assert parameters_of(ours) == parameters_of(theirs)
    few = slice(0, 8)
    with exact(), torch.no_grad():
        outputs = [copy.deepcopy(ours).eval()(batch.images[few]), copy.deepcopy(theirs).eval()(normalized[few])]
        torch.testing.assert_close(*outputs, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(own(ours), other(theirs), rtol=1e-3, atol=1e-3)
    title = f"{name} at {side} x {side}, batch {count}"
    return Contest(
        title, count, "torchvision", networks, (own, other), lambda net: [net], None if tiny else (3500, None)
    )


def detection(device: torch.device, count: int, *, tiny: bool) -> Contest:
    """Faster R-CNN of ResNet-50 and a pyramid at 800 x 1216 beside torchvision's."""
    name, height, width = ("resnet18", 64, 96) if tiny else ("resnet50", 800, 1216)
    check_detectors(name)
    pair = Pair(height, width, count, name)
    batch = type(pair.batch)(*(field.to(device) for field in pair.batch))
    batch = batch._replace(images=batch.images.contiguous(memory_format=torch.channels_last))
    pair.images = [image.to(device) for image in pair.images]
    pair.targets = [{key: value.to(device) for key, value in target.items()} for target in pair.targets]

    def networks() -> tuple[Task, nn.Module]:
        return copy.deepcopy(pair.ours).to(device), copy.deepcopy(pair.theirs).to(device)

    return Contest(
        f"Faster R-CNN {name} FPN at {height} x {width}, batch {count}, {CLASSES} classes",
        count,
        "torchvision",
        networks,
        (lambda task: own_loss(task, batch), lambda network: other_loss(network, pair)),
        lambda network: [
            network.backbone,
            network.rpn.head,
            network.roi_heads.box_head,
            network.roi_heads.box_predictor,
        ],
        None if tiny else (100, 200),
    )


@cache
def check_detectors(name: str) -> None:
    """Compare the parameters, and the first loss for the same samples, of the two networks on few pixels."""
    with exact():
        Pair(64, 96, 2, name).check()


def segmentation(device: torch.device, *, tiny: bool) -> Contest | None:
    """U-Net of ResNet-50 at 512 x 512 beside segmentation_models.pytorch's; None where that is not installed."""
    if find_spec("segmentation_models_pytorch") is None:
        return None
    import segmentation_models_pytorch as smp

    name, side, count = ("resnet18", 64, 2) if tiny else ("resnet50", 512, 16)
    classes = 21
    torch.manual_seed(0)
    pixels = torch.randint(256, (count, side, side, 3), dtype=torch.uint8, device=device)
    masks = torch.randint(classes, (count, side, side), dtype=torch.uint8, device=device)
    masks[:, :8] = 255
    sizes = torch.tensor([[side, side]] * count, device=device)
    ids = torch.arange(count, device=device)
    batch = SegmentationBatch(pixels.permute(0, 3, 1, 2), masks, sizes, torch.ones(count, 2, device=device), ids)
    targets = masks.long()

    def networks() -> tuple[Task, nn.Module]:
        torch.manual_seed(0)
        ours = SegmentationTask(classes, backbone=name)
        return ours.to(device), smp.Unet(name, encoder_weights=None, classes=classes).to(device)

    def own(task: Task) -> Tensor:
        (loss,) = task.losses(task(batch.images), batch).values()
        return loss

    ours, theirs = networks()
    normalized = ours.normalize(batch.images).contiguous(memory_format=torch.channels_last)

    def other(network: nn.Module) -> Tensor:
        return F.cross_entropy(network(normalized).float(), targets, ignore_index=255)

    # Our decoder is narrower at its start, by 4 % of the parameters with ResNet-18 and 12 % with ResNet-50, which the
    # row says; outputs have one shape, and equal logits one loss.
    counts = [parameters_of(ours), parameters_of(theirs)]
    assert abs(counts[0] / counts[1] - 1) < 0.15, counts
    with exact(), torch.no_grad():
        logits = ours.eval()(batch.images)
        assert logits.shape == theirs.eval()(normalized).shape
        (loss,) = ours.losses(logits, batch).values()
        torch.testing.assert_close(
            loss, F.cross_entropy(logits.float(), targets, ignore_index=255), rtol=1e-4, atol=1e-4
        )
    millions = " and ".join(f"{number / 1e6:.1f}" for number in counts)
    title = f"U-Net {name} at {side} x {side}, batch {count}, {millions} million parameters"
    return Contest(title, count, "segmentation_models.pytorch", networks, (own, other), lambda network: [network])


class exact:
    """Computes without TF32, in which equal networks differ in the third digit."""

    def __enter__(self) -> None:
        self.before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def __exit__(self, *_: object) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self.before
