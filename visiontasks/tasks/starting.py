"""Weights that a task starts from: of its backbone or of the whole network, and the normalisation that they expect."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.utilities import rank_zero_info

from visiontasks.backbones import Backbone, create_backbone
from visiontasks.backbones.recomputation import recompute_blocks
from visiontasks.backbones.weight_files import WeightsSource
from visiontasks.backbones.weights import load_weights, read_weights
from visiontasks.errors import ArgumentError
from visiontasks.state_dicts import COMPILED
from visiontasks.tasks.normalization import Normalization, Normalize, over_channels
from visiontasks.tasks.record import RECORD, is_restoring, replace_hyperparameters

if TYPE_CHECKING:
    import visiontasks.tasks.task


def built_backbone(
    backbone: str | Backbone, options: dict[str, Any] | None, in_channels: int, recompute: bool
) -> Backbone:
    """Create a backbone that is given by its name; return one that is already built.

    Args:
        backbone: The name or the backbone.
        options: Arguments of a named one.
        in_channels: Channels of the images.
        recompute: Whether its blocks are computed again for their gradients.

    Raises:
        ArgumentError: If there are options for one that is already built, they are wrong, or it has no blocks.
    """
    if options and not isinstance(backbone, str):
        message = "backbone_options are for a named backbone; the one given is already built."
        raise ArgumentError(message)
    built = create_backbone(backbone, in_channels, **(options or {})) if isinstance(backbone, str) else backbone
    if recompute:
        recompute_blocks(built)
    return built


def start_backbone(
    task: "visiontasks.tasks.task.Task",
    weights: str | Path | None,
    name: str | None,
    normalization: Normalization | None,
) -> Normalize:
    """Load the weights of the backbone, and choose the normalisation, which is saved in the checkpoint.

    Args:
        task: The task, with its backbone; its image size becomes that of a mean image.
        weights: See :func:`~visiontasks.backbones.weights.read_weights`; None to leave the backbone as it is.
        name: Name of the backbone, if it has one.
        normalization: The mode; None for the one that the weights expect.

    Returns:
        The normalisation.

    Raises:
        ArgumentError: If the weights do not exist, or expect other images.
        CheckpointError: If the weights are damaged, unsafe, or do not fit the backbone.
        DownloadError: If published weights are not in the cache and cannot be downloaded.
    """
    # Not needed when a checkpoint is restored, because its weights replace them.
    source = None if weights is None or is_restoring() else read_weights(weights, name)
    if source is not None:
        rank_zero_info(str(load_weights(task.backbone, source)))
    if source is None or normalization is not None:
        normalize = Normalize(normalization or "imagenet", task.in_channels, task.image_size)
    else:
        normalize = expected_normalization(source, task.backbone, task.in_channels, task.image_size)
        rank_zero_info(f"Pixel values are scaled by normalization {normalize.mode!r}, {_why(source)}.")
    if normalize.mode == "image_mean":
        height, width = normalize.mean.shape[1:]
        task.image_size = (height, width)
    replace_hyperparameters(task, backbone_weights=None, normalization=normalize.mode, image_size=task.image_size)
    return normalize


def start_network(
    task: "visiontasks.tasks.task.Task",
    weights: str | Path | None,
    normalization: Normalization | None,
    read: Callable[[str | Path], WeightsSource],
    load: Callable[[WeightsSource], str],
) -> None:
    """Load the weights of the whole network, and take over their normalisation unless one is given.

    Args:
        task: The task, with all its layers.
        weights: The argument of the task; None to leave the network as it is.
        normalization: The mode, if one is given.
        read: Reads the weights.
        load: Loads them into the network and describes what was loaded.
    """
    if weights is not None and not is_restoring():
        source = read(weights)
        rank_zero_info(load(source))
        if normalization is None and (RECORD in source.contents or source.normalization is not None):
            task.normalize = expected_normalization(source, task.backbone, task.in_channels, task.image_size)
    replace_hyperparameters(task, weights=None, normalization=task.normalize.mode)


def expected_normalization(
    source: WeightsSource, backbone: Backbone, in_channels: int, image_size: tuple[int, int] | None
) -> Normalize:
    """Create the normalisation that weights expect.

    Weights of a task expect its normalisation mode and its measured statistics, because its filters and batch-norm
    statistics were fitted to images normalised with them. Statistics for another number of channels are not used and
    will be measured anew.

    Args:
        source: The weights.
        backbone: Their backbone.
        in_channels: Channels of the images.
        image_size: Height and width of the images in pixels, if known.

    Returns:
        The normalisation, with the statistics if the source has them.

    Raises:
        ArgumentError: If the weights expect a mean image of another size.
    """
    mode = source.contents.get(RECORD, {}).get("normalization")
    if mode is None:
        published = source.normalization or backbone.pretrained_normalization
        return Normalize(_for_channels(published, in_channels), in_channels)
    state = {key.replace(COMPILED, ""): value for key, value in source.contents["state_dict"].items()}
    buffers = {name: state[f"normalize.{name}"] for name in ("mean", "std", "measured")}
    height, width = buffers["mean"].shape[1:]
    if mode == "image_mean" and image_size not in (None, (height, width)):
        message = (
            f"The weights from {source.origin} expect images of {height} x {width} pixels, less their mean image; "
            f"image_size is {image_size}. Use the same size, or choose another normalization, such as 'channel_mean'."
        )
        raise ArgumentError(message)
    normalize = Normalize(_for_channels(mode, in_channels), in_channels, (height, width))
    if normalize.mean.shape == buffers["mean"].shape:
        normalize.load_state_dict(buffers)
    return normalize


def _for_channels(mode: Normalization, in_channels: int) -> Normalization:
    return mode if isinstance(mode, str) else over_channels(mode, in_channels)


def _why(source: WeightsSource) -> str:
    if RECORD in source.contents:
        return "as the task was trained with that these weights come from"
    if source.normalization is not None:
        return "as the configuration of these weights says"
    return "as published weights of this architecture expect; if yours were trained with another: --model.normalization"
