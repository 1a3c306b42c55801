"""The models of timm (PyTorch Image Models) as backbones; the extra ``timm`` installs it."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from visiontasks.backbones.padding import PaddedBackbone
from visiontasks.errors import ArgumentError, near_matches

_ANY_SIZE = (
    " Some models of timm take any size with the option dynamic_img_size=True (ViT) or strict_img_size=False (Swin)."
)


class TimmBackbone(PaddedBackbone):
    """A model of timm that offers feature maps.

    Where several maps have the same stride, as all of a vision transformer do, the deepest stands for it. Models of a
    fixed input size are refused, and those whose strides are no powers of two (patches of 14 pixels); some take any
    size with an option of their own, such as ``dynamic_img_size=True`` (ViT) or ``strict_img_size=False`` (Swin).

    Args:
        name: Name in timm, such as ``"convnext_tiny"`` or with weights ``"resnet50.a1_in1k"``.
        in_channels: Channels of the images.
        pretrained: Whether timm loads its weights, which it downloads once; the first layer is adapted to the channels.
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
        *,
        pretrained: bool = False,
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
            model: Any = timm.create_model(
                name, pretrained=pretrained, in_chans=in_channels, features_only=True, **options
            )
        except Exception as error:
            message = (
                f"timm {timm.__version__} cannot make {name!r} give feature maps (pretrained={pretrained}, options "
                f"{options}): {type(error).__name__}: {error}"
            )
            raise ArgumentError(message) from error
        deepest = {stride: index for index, stride in enumerate(model.feature_info.reduction())}
        self.model = model
        self.taken = sorted(deepest.values())
        self.measure(f"timm/{name}", in_channels, _ANY_SIZE)

    def maps(self, images: Float[Tensor, "batch channels height width"]) -> Sequence[Tensor]:
        """Compute the maps as timm gives them."""
        maps = self.model(images)
        return [maps[index] for index in self.taken]
