"""Gradient checkpointing: blocks of a network that are computed again for their gradients, instead of being kept."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from visiontasks.backbones.backbone import Backbone
from visiontasks.errors import ArgumentError

_CONTAINERS = (nn.Sequential, nn.ModuleList)


def recompute_blocks(backbone: Backbone) -> None:
    """Let a backbone keep the inputs of its blocks alone in training, and compute each again for its gradients.

    Chen et al., Training deep nets with sublinear memory cost (2016). Loss, gradients and statistics of batch norms
    are those of the backbone as it was: random numbers are drawn as before, and a block that is computed again leaves
    the statistics alone. Names of weights stay the same.

    Blocks are what the stages of a backbone consist of (see :meth:`Backbone.stage_modules`), or the parts of a network
    that does not say what its stages are.

    Args:
        backbone: The backbone; changed in place.

    Raises:
        ArgumentError: If it has no blocks.
    """
    if backbone.recomputes is not None:
        backbone.recomputes = True
        return
    blocks = blocks_of(backbone)
    if not blocks:
        message = (
            f"gradient_checkpointing computes blocks again, and {type(backbone).__name__} has none: no module of it, "
            "or of the stages that stage_modules tells, has parts of its own."
        )
        raise ArgumentError(message)
    for block in blocks:
        if "forward" not in vars(block):  # else it is done
            # A bound method: a copy of the network gets that of the copied block.
            block.forward = partial(recomputed, block, block.forward)


def recomputed(module: nn.Module, forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:  # noqa: ANN401 (any module's)
    """Run a module, and again for its gradients if there will be some.

    Args:
        module: The module.
        forward: What runs it.
        *inputs: What it takes.
        **options: What it takes by name.
    """
    if not torch.is_grad_enabled() or torch.compiler.is_exporting():
        return forward(*inputs, **options)
    return checkpoint(forward, *inputs, use_reentrant=False, context_fn=partial(_contexts, module), **options)


def blocks_of(backbone: Backbone) -> list[nn.Module]:
    """List the modules with parts of their own that follow one another in a backbone, none inside another."""
    modules: Sequence[nn.Module] = [module for stage in backbone.stage_modules() for module in stage]
    if not modules:
        network: nn.Module = backbone
        while len(parts := list(network.children())) == 1:
            (network,) = parts
        modules = parts
    while any(isinstance(module, _CONTAINERS) for module in modules):
        modules = [
            part for module in modules for part in (module.children() if isinstance(module, _CONTAINERS) else [module])
        ]
    # What hooks catch inside a block they would catch twice.
    return [
        module
        for module in modules
        if any(True for _ in module.children()) and not any(part._forward_hooks for part in list(module.modules())[1:])
    ]


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    return nullcontext(), _on_copies_of_buffers(module)


@contextmanager
def _on_copies_of_buffers(module: nn.Module) -> Iterator[None]:
    """Let batch norms update copies of their statistics, which have been updated already."""
    buffers = [
        (part, name, buffer)
        for part in module.modules()
        if part.training
        for name, buffer in part.named_buffers(recurse=False)
    ]
    for part, name, buffer in buffers:
        setattr(part, name, buffer.clone())
    try:
        yield
    finally:
        for part, name, buffer in buffers:
            setattr(part, name, buffer)
