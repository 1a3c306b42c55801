"""The branch of a detector that predicts a mask for each region."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchvision.ops import Conv2dNormActivation

from visiontasks.detection.region_sample import RegionSample
from visiontasks.detection.sampler import weights_of
from visiontasks.errors import check_range


class MaskHead(nn.Module):
    """Predicts a mask for each class in each region.

    He et al., Mask R-CNN (ICCV 2017), figure 4, right: 3x3 convolutions, a transposed convolution that doubles the
    resolution, and a 1x1 convolution. For equal weights, masks and losses equal those of torchvision's
    ``MaskRCNNHeads`` and ``MaskRCNNPredictor``, without a mask for background.

    Args:
        channels: Channels of the features of a region.
        num_classes: Number of classes, background not counted.
        widths: Filters of the 3x3 convolutions; the last number also those of the transposed convolution.
        batch_norm: Whether each 3x3 convolution is followed by batch normalisation.
        class_agnostic: Whether all classes of a region share one mask.

    Raises:
        ArgumentError: If there are no convolutions, or one has no filters.

    Example:
        >>> MaskHead(8, num_classes=3, widths=(4, 4))(torch.zeros(2, 14, 14, 8)).shape
        torch.Size([2, 3, 28, 28])
    """

    def __init__(
        self,
        channels: int,
        num_classes: int,
        widths: Sequence[int] = (256, 256, 256, 256),
        *,
        batch_norm: bool = False,
        class_agnostic: bool = False,
    ) -> None:
        super().__init__()
        check_range(1, math.inf, mask_widths=min(widths, default=0))
        norm = nn.BatchNorm2d if batch_norm else None
        self.convolutions = nn.Sequential()
        for filters in widths:
            self.convolutions.append(Conv2dNormActivation(channels, filters, 3, norm_layer=norm))
            channels = filters
        self.upsampling = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.mask_logits = nn.Conv2d(channels, 1 if class_agnostic else num_classes, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self, regions: Float[Tensor, "regions rows columns channels"]
    ) -> Float[Tensor, "regions masks rows2 columns2"]:
        """Compute the logits of masks in float32, at twice the resolution of the features."""
        x = F.relu(self.upsampling(self.convolutions(regions.permute(0, 3, 1, 2))), inplace=True)
        logits: Tensor = self.mask_logits(x).float()
        return logits


def of_class(
    logits: Float[Tensor, "regions masks rows columns"], labels: Int64[Tensor, " regions"]
) -> Float[Tensor, "regions rows columns"]:
    """Select the mask of a class of each region."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    rows, columns = logits.shape[-2:]
    return logits.gather(1, labels[:, None, None, None].expand(-1, 1, rows, columns))[:, 0]


def mask_loss(
    logits: Float[Tensor, "regions masks rows columns"],
    labels: Int64[Tensor, " regions"],
    targets: Float[Tensor, "regions rows columns"],
    weight: Float[Tensor, " regions"],
) -> Float[Tensor, ""]:
    """Compute the binary cross entropy of the mask of the true class, averaged over the pixels of each region.

    Args:
        logits: Logits of the masks of all classes.
        labels: The true class of each region.
        targets: The true masks.
        weight: Weight of each region.
    """
    terms = F.binary_cross_entropy_with_logits(of_class(logits, labels), targets, reduction="none")
    return (terms.mean((1, 2)) * weight).sum()


def positives(
    sample: RegionSample, known: Bool[Tensor, "batch objects"], num_classes: int, limit: int, *, per_image: bool
) -> RegionSample:
    """Choose the regions that masks are learnt of: those that are matched with an object whose mask is known.

    Args:
        sample: The sample of the box head.
        known: Whether an object has a mask.
        num_classes: Number of classes.
        limit: Maximum number of regions of an image.
        per_image: See :func:`~visiontasks.detection.sampler.weights_of`.

    Returns:
        As many entries for each image; unused ones have weight 0 and the class 0.
    """
    usable = (sample.labels < num_classes) & (sample.weight > 0) & known.gather(1, sample.matches)
    order = usable.to(torch.uint8).argsort(dim=1, descending=True, stable=True)[:, :limit]
    usable = usable.gather(1, order)
    # Unused entries repeat others, for the batch norm of a GPU, which sees all of them.
    places = torch.arange(order.shape[1], device=order.device) % usable.sum(1, keepdim=True).clamp(min=1)
    order = order.gather(1, places)
    chosen = order[..., None].expand(-1, -1, 4)
    return RegionSample(
        sample.boxes.gather(1, chosen),
        torch.where(usable, sample.labels.gather(1, order), 0),
        sample.objects.gather(1, chosen),
        weights_of(usable, per_image=per_image),
        sample.matches.gather(1, order),
    )
