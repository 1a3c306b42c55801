"""Networks that others train for the five tasks, in a form that one loop takes: a loss of a batch, predictions of one.

Pixels of a batch are uint8; each side normalises them itself. Boxes are xyxy in pixels, classes count from 0.
"""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
import torchvision
from timm.utils.model import freeze_batch_norm_2d  # type: ignore[attr-defined]  # it has no list of names
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops.feature_pyramid_network import FeaturePyramidNetwork, LastLevelMaxPool

from visiontasks.instance_masks import unpack_masks
from visiontasks.types import InstancePredictions

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
Detections = list[dict[str, Tensor]]


class Peer(nn.Module):
    """A network and its loss; subclasses compute both."""

    def pixels(self, images: Tensor) -> Tensor:
        """Normalise, colour images as everybody does."""
        scaled = images.float() / 255
        if images.shape[1] == 1:
            return (scaled - 0.1307) / 0.3081
        return (scaled - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]

    def begin(self) -> None:
        """Prepare the first step."""

    def complete(self) -> None:
        """Complete a step."""

    def loss(self, batch: Any) -> Tensor:
        """Compute the loss of a batch of training."""
        raise NotImplementedError

    def predict(self, batch: Any) -> Any:
        """Predict for a batch of evaluation."""
        raise NotImplementedError


class Classifier(Peer):
    """A network with one output for each class, trained with cross-entropy."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def loss(self, batch: Any) -> Tensor:
        """Compute the cross-entropy."""
        return F.cross_entropy(self.network(self.pixels(batch.images)).float(), batch.labels)

    def predict(self, batch: Any) -> Tensor:
        """Choose the classes."""
        classes: Tensor = self.network(self.pixels(batch.images)).argmax(1)
        return classes


def plain_cnn(classes: int) -> nn.Module:
    """Make the network of PyTorch's MNIST example (pytorch/examples, mnist/main.py)."""
    return nn.Sequential(
        *(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
        *(nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, classes)),
    )


class Localizer(Peer):
    """torchvision's ResNet-18 with one linear layer for class and box: cross-entropy and smooth L1 in 0 to 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = torchvision.models.resnet18(num_classes=classes + 4)

    def loss(self, batch: Any) -> Tensor:
        """Add both losses."""
        outputs = self.network(self.pixels(batch.images)).float()
        boxes = F.smooth_l1_loss(outputs[:, -4:], batch.boxes / self.sides(batch.images))
        return F.cross_entropy(outputs[:, :-4], batch.labels) + boxes

    def predict(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Choose the class, and scale the box."""
        outputs = self.network(self.pixels(batch.images)).float()
        return outputs[:, :-4].argmax(1), outputs[:, -4:].clamp(0, 1) * self.sides(batch.images)

    def sides(self, images: Tensor) -> Tensor:
        """Width and height, twice."""
        height, width = images.shape[-2:]
        return torch.tensor([width, height, width, height])


class Detector(Peer):
    """torchvision's Faster R-CNN on ResNet-18 with a pyramid, from random weights."""

    def __init__(self, classes: int, anchor_scale: float, height: int, width: int) -> None:
        super().__init__()
        backbone = resnet_fpn_backbone(
            backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
        )
        sizes = tuple((int(anchor_scale * stride),) for stride in (4, 8, 16, 32, 64))
        anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5)
        size = {"min_size": min(height, width), "max_size": max(height, width)}
        self.network = FasterRCNN(backbone, classes + 1, rpn_anchor_generator=anchors, **size)

    def loss(self, batch: Any) -> Tensor:
        """Add the four losses."""
        kept = [(row >= 0) & ~ignore for row, ignore in zip(batch.labels, batch.ignore, strict=True)]
        targets = [
            {"boxes": boxes[keep], "labels": labels[keep] + 1}
            for boxes, labels, keep in zip(batch.boxes, batch.labels, kept, strict=True)
        ]
        images = batch.images.float() / 255
        terms: Tensor = sum(self.network(list(images), targets).values())
        return terms

    def predict(self, batch: Any) -> Detections:
        """Detect, classes from 0."""
        found = self.network(list(batch.images.float() / 255))
        return [{**one, "labels": one["labels"] - 1} for one in found]


class Pyramid(nn.Module):
    """timm's EfficientNet-Lite0 with ImageNet's weights and torchvision's pyramid, its batch norms frozen."""

    out_channels = 256

    def __init__(self, weights: Path) -> None:
        super().__init__()
        body: Any = timm.create_model("tf_efficientnet_lite0", features_only=True, out_indices=(1, 2, 3, 4))
        body.load_state_dict(torch.load(weights, weights_only=True), strict=False)
        self.body: nn.Module = freeze_batch_norm_2d(body)  # type: ignore[no-untyped-call]
        channels = body.feature_info.channels()
        self.fpn = FeaturePyramidNetwork(channels, self.out_channels, LastLevelMaxPool())

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the maps by their names."""
        maps: dict[str, Tensor] = self.fpn({str(level): one for level, one in enumerate(self.body(images))})
        return maps


class Outliner(Peer):
    """torchvision's Mask R-CNN with a pyramid, on ResNet-18 from random weights or on a pretrained network."""

    def __init__(self, classes: int, anchor_scale: float, height: int, width: int, weights: Path | None = None) -> None:
        super().__init__()
        sizes = tuple((int(anchor_scale * stride),) for stride in (4, 8, 16, 32, 64))
        options: dict[str, Any] = {
            "rpn_anchor_generator": AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * 5),
            "min_size": min(height, width),
            "max_size": max(height, width),
        }
        if weights is None:
            backbone: nn.Module = resnet_fpn_backbone(
                backbone_name="resnet18", weights=None, trainable_layers=5, norm_layer=nn.BatchNorm2d
            )
        else:
            backbone = Pyramid(weights)
            options |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
        self.network = MaskRCNN(backbone, classes + 1, **options)
        # Masks stay grids over their boxes, as ours are: both are pasted by the scores.
        self.network.transform.postprocess = lambda found, *_: found

    def loss(self, batch: Any) -> Tensor:
        """Add the five losses."""
        targets = []
        size = batch.images.shape[-2:]
        rows = zip(batch.boxes, batch.labels, batch.ignore, batch.mask_bits, batch.mask_windows, strict=True)
        for boxes, labels, ignore, bits, windows in rows:
            keep = (labels >= 0) & ~ignore
            masks = torch.zeros(len(labels), *size, dtype=torch.uint8)
            pixels_of_masks = unpack_masks(bits.numpy(), windows.numpy())
            for mask, (left, top, right, bottom), pixels in zip(masks, windows.tolist(), pixels_of_masks, strict=True):
                mask[top:bottom, left:right] = torch.from_numpy(pixels)
            targets.append({"boxes": boxes[keep], "labels": labels[keep] + 1, "masks": masks[keep]})
        terms: Tensor = sum(self.network(list(batch.images.float() / 255), targets).values())
        return terms

    def predict(self, batch: Any) -> InstancePredictions:
        """Detect, classes from 0, and pad."""
        found = self.network(list(batch.images.float() / 255))
        most = max(len(one["labels"]) for one in found)

        def padded(name: str, fill: int, *shape: int) -> Tensor:
            rows = [F.pad(one[name], [0, 0] * len(shape) + [0, most - len(one[name])], value=fill) for one in found]
            return torch.stack(rows)

        boxes, scores = padded("boxes", 0, 4), padded("scores", 0)
        masks = padded("masks", 0, 1, 28, 28)[:, :, 0]
        return InstancePredictions(boxes.float(), scores.float(), padded("labels", 0) - 1, masks.float())


class Segmenter(Peer):
    """The U-Net of segmentation_models.pytorch on ResNet-18, from random weights, trained with cross-entropy."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = smp.Unet("resnet18", encoder_weights=None, classes=classes)

    def loss(self, batch: Any) -> Tensor:
        """Compute the cross-entropy of the labelled pixels."""
        return F.cross_entropy(self.network(self.pixels(batch.images)).float(), batch.masks.long(), ignore_index=255)

    def predict(self, batch: Any) -> Tensor:
        """Choose the classes, of images padded to what the network takes."""
        height, width = batch.images.shape[-2:]
        padded = F.pad(self.pixels(batch.images), (0, -width % 32, 0, -height % 32))
        classes: Tensor = self.network(padded)[..., :height, :width].argmax(1)
        return classes


class Autoencoder(Peer):
    """Strided convolutions to a code, and their transposes back, as in PyTorch tutorials; mean squared error.

    The last layer is linear: with the sigmoid of many tutorials the digits stay black (loss 0.112 after 1,250 steps).
    """

    def __init__(self, channels: int, side: int, code: int, widths: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        down: list[nn.Module] = []
        for before, after in zip((channels, *widths), widths, strict=False):
            down += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
        cells = side
        for _ in widths:
            cells = -(-cells // 2)
        up: list[nn.Module] = []
        mirrored = (*widths[::-1], channels)
        for before, after in pairwise(mirrored):
            up += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(widths[-1] * cells**2, code))
        self.widen = nn.Sequential(nn.Linear(code, widths[-1] * cells**2), nn.ReLU())
        self.shape = (widths[-1], cells, cells)
        self.decoder = nn.Sequential(*up[:-1])

    def predict(self, batch: Any) -> Tensor:
        """Reconstruct the pixels, in 0 to 1."""
        code = self.encoder(batch.images.float() / 255)
        images: Tensor = self.decoder(self.widen(code).unflatten(1, self.shape))
        return images[..., : batch.images.shape[-2], : batch.images.shape[-1]].float()

    def loss(self, batch: Any) -> Tensor:
        """Compute the mean squared error."""
        return F.mse_loss(self.predict(batch), batch.images.float() / 255)


Maker = Callable[[], Peer]
