"""Any network as a backbone, by the names of the modules that compute its feature maps."""

from collections.abc import Sequence
from functools import partial
from threading import get_ident
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

from visiontasks.backbones.depthwise import use_float32_where_faster
from visiontasks.backbones.padding import PaddedBackbone, check_maps, evaluating, zeros_for
from visiontasks.errors import ArgumentError, near_matches


class WrappedBackbone(PaddedBackbone):
    """A network whose feature maps are the outputs of selected modules.

    Channels and strides are measured; the image is padded and the maps are cropped to keep the stride contract, see
    :class:`~visiontasks.backbones.padding.PaddedBackbone`. Modules after the last node, such as a classifier, are
    replaced by identities, so that no parameter is left without a gradient.

    Maps are captured by forward hooks, which ``torch.export``, ``torch.compile``, copies and DistributedDataParallel
    preserve; ``nn.DataParallel`` and TorchScript do not. A node followed by an in-place operation, such as
    ``ReLU(inplace=True)``, yields the map after that operation.

    Args:
        module: The network; used directly and changed in place by the replacement.
        nodes: Names of the modules whose outputs are the feature maps, one for each stride, fine to coarse; as in
            ``named_modules``, such as ``"layer1"`` or ``"features.3"``. Their outputs are [B, C, H, W] or [B, H, W, C].
        in_channels: Channels of the images that the network takes.

    Raises:
        ArgumentError: If a node does not exist, the network accepts only one image size, the strides are not increasing
            powers of two, or the modules after the last node cannot be replaced.

    Example:
        >>> network = nn.Sequential(
        ...     nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.Flatten(), nn.Linear(576, 5)
        ... )
        >>> backbone = WrappedBackbone(network, ["1", "2"])
        >>> backbone.channels, backbone.strides
        ((8, 16), (2, 4))
        >>> [tuple(feature.shape) for feature in backbone(torch.zeros(1, 3, 33, 20))]
        [(1, 8, 17, 10), (1, 16, 9, 5)]
    """

    def __init__(self, module: nn.Module, nodes: Sequence[str], in_channels: int = 3) -> None:
        super().__init__()
        names = [name for name, _ in module.named_modules()][1:]
        for node in nodes:
            if node not in names:
                message = f"{type(module).__name__} has no module {node!r}. {near_matches(node, names)}"
                raise ArgumentError(message)
        if not nodes:
            message = f"nodes is empty; expected names of modules of {type(module).__name__}, one for each feature map."
            raise ArgumentError(message)
        self.nodes = tuple(nodes)
        self.module = module
        # By thread, so that several may compute maps at once.
        self._caught: dict[int, dict[str, Any]] = {}
        for node in self.nodes:
            module.get_submodule(node).register_forward_hook(partial(self._catch, node))
        self._cut(in_channels)
        use_float32_where_faster(module)
        self.measure(type(module).__name__, in_channels)

    def maps(self, images: Float[Tensor, "batch channels height width"]) -> Sequence[Tensor]:
        """Run the network and collect the outputs of the nodes."""
        self._caught[_thread()] = {}
        self.module(images)
        caught = self._caught.pop(_thread())
        return [caught[node] for node in self.nodes]

    def _catch(self, node: str, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ANN401 (a module's own)
        self._caught[_thread()][node] = output

    def _cut(self, in_channels: int) -> None:
        """Replace the modules that no feature map depends on by identities."""
        title = type(self.module).__name__
        images = zeros_for(self.module, in_channels, 128, 128)
        with evaluating(self):
            before, unused = self._first_pass(images)
            cut: list[str] = []
            for name, module in list(self.module.named_modules())[1:]:
                parameters = list(module.parameters())
                inside = any(name.startswith(f"{outer}.") for outer in cut)
                holds_node = any(f"{node}.".startswith(f"{name}.") for node in self.nodes)
                if parameters and not inside and not holds_node and unused.issuperset(parameters):
                    self.module.set_submodule(name, nn.Identity())
                    cut.append(name)
            self.cut = tuple(f"module.{name}" for name in cut)
            try:
                with torch.no_grad():
                    after = self.maps(images)
            except Exception as error:
                message = (
                    f"{title}: the modules {cut} come behind the feature maps {list(self.nodes)}, and the network does "
                    f"not run without them ({type(error).__name__}: {error}). Wrap the part of it that ends at "
                    f"{self.nodes[-1]!r}."
                )
                raise ArgumentError(message) from error
        if any(not a.is_meta and not torch.equal(a, b) for a, b in zip(after, before, strict=True)):
            message = f"{title}: no gradient reaches {cut}, though the feature maps {list(self.nodes)} depend on them."
            raise ArgumentError(message)
        left = [name for name, value in self.module.named_parameters() if value in unused and value.requires_grad]
        if left:
            message = (
                f"{title}: no feature map depends on the parameters {left}; training on several processes would fail. "
                "Set their requires_grad to False, or name nodes that depend on them."
            )
            raise ArgumentError(message)

    def _first_pass(self, images: Tensor) -> tuple[list[Tensor], set[nn.Parameter]]:
        """Return the maps, and the parameters that none of their gradients reaches, frozen ones included."""
        parameters = {name: value for name, value in self.module.named_parameters() if value.is_floating_point()}
        tracked = {name: value.detach().requires_grad_() for name, value in parameters.items()}
        failure: Exception | None = None
        self._caught[_thread()] = {}
        with torch.enable_grad():
            try:
                functional_call(self.module, tracked, (images,))
            except Exception as error:  # modules after the nodes may not accept this size
                failure = error
        caught = self._caught.pop(_thread())
        maps = [caught[node] for node in self.nodes if node in caught]
        if len(maps) < len(self.nodes):
            missing = [node for node in self.nodes if node not in caught]
            why = "they do not run" if failure is None else f"{type(failure).__name__}: {failure}"
            message = f"{type(self.module).__name__} gives no feature maps {missing} of {_shape(images)} images: {why}."
            raise ArgumentError(message) from failure
        check_maps(type(self.module).__name__, maps)
        total = torch.stack([x.float().sum() for x in maps]).sum()
        if not total.requires_grad:
            return maps, set(parameters.values())
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(total, list(tracked.values()), allow_unused=True)
        pairs = zip(parameters.values(), gradients, strict=True)
        return [x.detach() for x in maps], {value for value, gradient in pairs if gradient is None}


def _thread() -> int:
    # The compiler cannot trace the number of a thread; what it compiles keeps no maps between calls.
    return 0 if torch.compiler.is_compiling() else get_ident()


def _shape(images: Tensor) -> str:
    return " x ".join(map(str, images.shape[1:]))
