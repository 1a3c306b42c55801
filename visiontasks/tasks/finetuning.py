"""Training from given weights: the normalisation they expect, and parameter groups that join while it runs."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from torch.optim import Optimizer

from visiontasks.backbones import Backbone
from visiontasks.backbones.weights import WeightsSource
from visiontasks.errors import ArgumentError
from visiontasks.tasks.checkpoint import RECORD
from visiontasks.tasks.normalization import Normalize

_FOLLOWS = "follows_next_group"


def expected_normalization(
    source: WeightsSource, backbone: Backbone, in_channels: int, image_size: tuple[int, int] | None
) -> Normalize:
    """Create the normalisation that weights expect.

    Weights of a task expect its mode, and the statistics that were measured for it: its filters and batch-norm
    statistics were fitted to images that were normalised with them. Statistics of images with another number of
    channels are left, to be measured anew.

    Args:
        source: The weights.
        backbone: Their backbone.
        in_channels: Channels of the images.
        image_size: Height and width in pixels of the images, where they are known.

    Returns:
        The normalisation, with the statistics where the source has them.

    Raises:
        ArgumentError: If the weights expect a mean image of another size.
    """
    mode = source.contents.get(RECORD, {}).get("normalization")
    if mode is None:
        return Normalize(backbone.pretrained_normalization, in_channels)
    buffers = {name: source.weights[f"normalize.{name}"] for name in ("mean", "std", "measured")}
    height, width = buffers["mean"].shape[1:]
    if mode == "image_mean" and image_size not in (None, (height, width)):
        message = (
            f"The weights from {source.origin} expect images of {height} x {width} pixels, less their mean image; "
            f"image_size is {image_size}. Use the same size, or choose another normalization, such as 'channel_mean'."
        )
        raise ArgumentError(message)
    normalize = Normalize(mode, in_channels, (height, width))
    if normalize.mean.shape == buffers["mean"].shape:
        normalize.load_state_dict(buffers)
    return normalize


def settle_joined_groups(optimizer: Optimizer, schedulers: Iterable[Any], first: int) -> None:
    """Treat parameter groups that a callback added to an optimiser as those that it began with.

    Norms and biases get a group without weight decay; it stands before the group of the other weights, whose learning
    rate it takes, because Lightning's ``BackboneFinetuning`` sets the rate of the last group at the start of an epoch.
    From there the schedule goes on: within an epoch, the rate changes by the same factor as that of the first group.

    Args:
        optimizer: The optimiser; changed in place.
        schedulers: Its schedules; changed in place.
        first: Index of the first group that joined.
    """
    settled: list[dict[str, Any]] = []
    for group in optimizer.param_groups[first:]:
        exempt = [parameter for parameter in group["params"] if parameter.ndim <= 1]
        if group.get("weight_decay") and exempt:
            group["params"] = [parameter for parameter in group["params"] if parameter.ndim > 1]
            settled.append({**group, "params": exempt, "weight_decay": 0.0, _FOLLOWS: True})
        settled.append(group)
    for group, following in pairwise(settled):
        if _FOLLOWS in group:
            group["lr"] = following["lr"]
    optimizer.param_groups[first:] = settled
    leader = optimizer.param_groups[0]
    factor = leader["lr"] / leader["initial_lr"] if leader.get("initial_lr") else 1.0
    for group in settled:
        group["initial_lr"] = group["lr"] / factor if factor else group["lr"]
    for scheduler in schedulers:
        # A schedule that waits for a plateau has none, and finds new groups by itself.
        if hasattr(scheduler, "base_lrs"):
            scheduler.base_lrs[first:] = [group["initial_lr"] for group in settled]
        if hasattr(scheduler, "lr_lambdas"):
            scheduler.lr_lambdas[first:] = [scheduler.lr_lambdas[0]] * len(settled)
