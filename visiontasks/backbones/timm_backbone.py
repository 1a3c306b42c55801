"""The models of timm (PyTorch Image Models) as backbones; the extra ``timm`` installs it."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from visiontasks.backbones.backbone import PretrainedNormalization
from visiontasks.backbones.depthwise import use_float32_where_faster
from visiontasks.backbones.padding import PaddedBackbone
from visiontasks.backbones.pretrained_config import expected_pixels
from visiontasks.errors import ArgumentError, near_matches

_ANY_SIZE = (
    " Some models of timm take any size with the option dynamic_img_size=True (ViT) or strict_img_size=False (Swin)."
)
TIMM = "timm/"
"""Prefix of the names of timm models."""

_DEEPEST = 4
"""Number of parts of a name that may stand in front of those of an original implementation."""


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
        self.name = name
        self.model = model
        self.pretrained_normalization = timm_normalization(name) or "imagenet"
        self.taken = sorted(deepest.values())
        use_float32_where_faster(model)
        self.measure(f"timm/{name}", in_channels, _ANY_SIZE)

    def maps(self, images: Float[Tensor, "batch channels height width"]) -> Sequence[Tensor]:
        """Compute the maps as timm returns them."""
        maps = self.model(images)
        return [maps[index] for index in self.taken]

    def stage_modules(self) -> list[list[nn.Module]]:
        """List the modules of each feature map; see :meth:`Backbone.stage_modules`. timm names the last of each."""
        if hasattr(self.model, "model"):
            return []  # a network whose maps have one stride, such as a vision transformer
        names = [self.model.feature_info.module_name()[index] for index in self.taken]
        ends = [name if name in dict(self.model.named_modules()) else name.replace(".", "_") for name in names]
        stage, reached, stage_of = 0, False, dict[str, int]()
        for name, module in self.model.named_modules():
            inside = f"{name}.".startswith(f"{ends[stage]}.")
            if reached and not inside:
                stage, reached = stage + 1, False
                if stage == len(ends):
                    break  # what lies behind the last map
                inside = f"{name}.".startswith(f"{ends[stage]}.")
            reached |= inside
            if any(True for _ in module.parameters(recurse=False)):
                stage_of[name] = stage
        if stage + reached < len(ends):
            return []  # branches that lie beside one another
        return _largest(self.model, stage_of, len(ends))

    def parameters_by_layer(self) -> list[list[nn.Parameter]]:
        """List the blocks of a network whose maps have one stride as timm counts them; else the stages."""
        if not hasattr(self.model, "model"):
            return super().parameters_by_layer()
        from timm.models import group_parameters

        network = self.model.model
        groups: dict[int, list[str]] = group_parameters(network, network.group_matcher(coarse=False))
        return [[network.get_parameter(name) for name in groups[layer]] for layer in sorted(groups)]

    def converted(self, weights: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
        """Convert weights of the original implementation as timm does when it publishes them."""
        import timm

        with torch.device("meta"):
            model = timm.create_model(self.name)
        convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
        if convert is None:
            return
        needed = len(self.state_dict()) // 2
        for prefix in _prefixes(weights, needed):
            below = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
            with suppress(Exception):  # of weights that are not the ones that it knows
                yield convert(below, model)


def _largest(network: nn.Module, stage_of: Mapping[str, int], count: int) -> list[list[nn.Module]]:
    """List the largest modules that are of one stage alone, by stage, given that of each module with parameters."""
    stages: list[list[nn.Module]] = [[] for _ in range(count)]
    taken = ""
    for name, module in network.named_modules():
        if taken and f"{name}.".startswith(taken):
            continue
        own = {stage for inner, stage in stage_of.items() if not name or f"{inner}.".startswith(f"{name}.")}
        if name and len(own) == 1:
            stages[own.pop()].append(module)
            taken = f"{name}."
    return stages


def _prefixes(weights: Mapping[str, Tensor], needed: int) -> list[str]:
    """List what stands in front of at least so many names, the most names first."""
    counts = Counter(
        "".join(f"{part}." for part in key.split(".")[:depth])
        for key in weights
        for depth in range(min(_DEEPEST + 1, key.count(".") + 1))
    )
    return [prefix for prefix, count in counts.most_common() if count >= needed]


def timm_normalization(name: str) -> PretrainedNormalization | None:
    """Find how pixels were normalised for the weights that timm publishes for a model; None if it does not say."""
    import timm

    mean, std = (timm.get_pretrained_cfg_value(name, key) for key in ("mean", "std"))
    return expected_pixels({"mean": mean, "std": std})
