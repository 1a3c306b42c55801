"""The models of timm (PyTorch Image Models) as backbones; the extra ``timm`` installs it."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from visiontasks.backbones.padding import PaddedBackbone
from visiontasks.errors import ArgumentError, DownloadError, near_matches

_ANY_SIZE = (
    " Some models of timm take any size with the option dynamic_img_size=True (ViT) or strict_img_size=False (Swin)."
)
TIMM = "timm/"
"""Prefix of the names of timm models."""

_NORMALIZATIONS = (((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))


class TimmBackbone(PaddedBackbone):
    """A timm model that returns feature maps.

    If several maps have the same stride, as in a vision transformer, the deepest is used. Models with a fixed input
    size are refused, as are those whose strides are not powers of two (patches of 14 pixels); some accept any size with
    an option of their own, such as ``dynamic_img_size=True`` (ViT) or ``strict_img_size=False`` (Swin).

    Args:
        name: Name in timm, such as ``"convnext_tiny"``, or with the tag of its weights, such as ``"resnet50.a1_in1k"``.
        in_channels: Channels of the images.
        **options: Arguments of the model.

    Raises:
        ArgumentError: If timm is missing, the name is unknown, or the model cannot keep the contract.

    Example:
        >>> backbone = TimmBackbone("convnext_atto")
        >>> backbone.channels, backbone.strides
        ((40, 80, 160, 320), (4, 8, 16, 32))
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        **options: Any,  # noqa: ANN401 (the model types them)
    ) -> None:
        super().__init__()
        try:
            import timm
        except ImportError as error:
            message = f"backbone 'timm/{name}' needs timm: pip install \"visiontasks[timm]\" ({error})."
            raise ArgumentError(message) from error
        if not timm.is_model(name):
            message = f"timm {timm.__version__} has no model {name!r}. {near_matches(name, timm.list_models())}"
            raise ArgumentError(message)
        try:
            model: Any = timm.create_model(name, in_chans=in_channels, features_only=True, **options)
        except Exception as error:
            message = (
                f"timm {timm.__version__} cannot make {name!r} give feature maps (options {options}): "
                f"{type(error).__name__}: {error}"
            )
            raise ArgumentError(message) from error
        deepest = {stride: index for index, stride in enumerate(model.feature_info.reduction())}
        self.model = model
        if timm.get_pretrained_cfg_value(name, "mean") == (0.5, 0.5, 0.5):
            self.pretrained_normalization = "unit"
        self.taken = sorted(deepest.values())
        self.measure(f"timm/{name}", in_channels, _ANY_SIZE)

    def maps(self, images: Float[Tensor, "batch channels height width"]) -> Sequence[Tensor]:
        """Compute the maps as timm returns them."""
        maps = self.model(images)
        return [maps[index] for index in self.taken]


def timm_weights(name: str) -> dict[str, Tensor]:
    """Load the weights that timm publishes for a model, from the cache or the network.

    Args:
        name: Name in timm.

    Returns:
        The state dict of the :class:`TimmBackbone` with three input channels.

    Raises:
        ArgumentError: If there are none, or they expect an unsupported image normalisation.
        DownloadError: If they are not in the cache and cannot be downloaded.
    """
    import timm

    if not timm.is_model_pretrained(name):
        message = f"backbone_weights is 'imagenet', but timm has published no weights for {name!r}."
        raise ArgumentError(message)
    mean, std = (timm.get_pretrained_cfg_value(name, key) for key in ("mean", "std"))
    if (mean, std) not in _NORMALIZATIONS:
        message = (
            f"timm's weights of {name!r} expect images normalised with mean {mean} and standard deviation {std}, which "
            "no normalization of this library matches. Choose weights for ImageNet's or 0.5 and 0.5: "
            "timm.list_pretrained()."
        )
        raise ArgumentError(message)
    try:
        model: Any = timm.create_model(name, pretrained=True, features_only=True)
    except Exception as error:  # of the network, the disk, or the file
        message = (
            f"The weights of 'timm/{name}' could not be downloaded ({type(error).__name__}: {error}). With a network "
            f"once, timm.create_model({name!r}, pretrained=True) puts them into the cache of huggingface_hub."
        )
        raise DownloadError(message) from error
    return {f"model.{key}": value for key, value in model.state_dict().items()}
