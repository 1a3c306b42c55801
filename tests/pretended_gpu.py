"""A GPU for tests where there is none: tensors of the host that say they are on it, and take no others beside them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
import torch
from lightning.pytorch.accelerators import CPUAccelerator
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
HOST = torch.device("cpu")

_OF_MODULE_TO = {torch._C._nn._parse_to, torch._has_compatible_shallow_copy_type}
"""What ``Module.to`` asks about its arguments; nothing is computed."""
_MOVES = {Tensor.to, Tensor.cuda, Tensor.cpu, Tensor.copy_}
_JOINS = {torch.cat, torch.stack}
# What sends values to the GPU, and what lets the host look at its results.
_SENDS: set[Any] = {torch.tensor, torch.as_tensor, Tensor.new_tensor}
_LOOKS: set[Any] = {Tensor.item, Tensor.tolist, Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__}
_LOOKS |= {Tensor.nonzero, torch.nonzero, Tensor.unique, torch.unique, torch.unique_consecutive, Tensor.masked_select}


class GPUTensor(Tensor):
    """A tensor that says it is on the GPU; what is computed of it says so, too."""

    device = GPU
    is_cuda = True

    def __deepcopy__(self, memo: object) -> "GPUTensor":
        """Copy without what torch asks of subclasses."""
        return self.detach().clone().as_subclass(GPUTensor)

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be pickled: no file is to know of this class."""
        message = "a tensor on the pretended GPU cannot be pickled"
        raise TypeError(message)


class PretendedGPU(TorchFunctionMode):
    """Sees every function of torch that is called.

    Attributes:
        may_wait: Whether the host may look at what the GPU has computed, or send it something; otherwise an error.
        counts: Whether it is counted how often the host waits.
        waits: What it waited in, since it is counted.
    """

    def __init__(self, *, may_wait: bool) -> None:
        super().__init__()
        self.may_wait, self.counts = may_wait, False
        self.waits: list[str] = []

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if func in _OF_MODULE_TO:
            return func(*args, **(kwargs or {}))
        found, waits = _call(func, args, kwargs or {})
        assert self.may_wait or not waits, f"{func} waits for the GPU"
        self.waits += [str(func)] if waits and self.counts else []
        return found

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Let the host wait where it has to."""
        before, self.may_wait = self.may_wait, True
        yield
        self.may_wait = before


class HostedAccelerator(CPUAccelerator):
    """Lets a strategy of Lightning have the GPU for its device."""

    def setup_device(self, device: torch.device) -> None:
        """Do nothing."""


class _Event:
    """What has been computed when it is recorded, which is at once."""

    def __init__(self, device: torch.device) -> None:
        assert device == GPU

    def record(self) -> None:
        """Do nothing."""

    def query(self) -> bool:
        """Return that it has been."""
        return True

    def synchronize(self) -> None:
        """Do nothing."""


@contextmanager
def pretended_gpu(*, may_wait: bool = True) -> Iterator[PretendedGPU]:
    """Compute on the host what is on ``cuda:0``; an error where tensors of both meet, as on a real one.

    Args:
        may_wait: Whether the host may look at what the GPU has computed, or send it something.
    """
    with pytest.MonkeyPatch.context() as patch, PretendedGPU(may_wait=may_wait) as gpu:
        # A module that moves gets new parameters: old ones would stay tensors of their class.
        patch.setattr(torch.__future__, "get_overwrite_module_params_on_conversion", lambda: True)
        patch.setattr(torch.cuda, "get_device_name", lambda: "pretended GPU")
        patch.setattr(torch, "Event", _Event)
        yield gpu


def _call(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[object, bool]:
    """Return what a function computes, and whether the host waits for the GPU in it."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    on_gpu = [isinstance(tensor, GPUTensor) for tensor in tensors]
    if any(on_gpu) and func not in _MOVES:
        # A single number may come from the host, but for where tensors are joined.
        strangers = [tensor for tensor, own in zip(tensors, on_gpu, strict=True) if not own]
        assert not any(tensor.ndim or func in _JOINS for tensor in strangers), f"{func} was given some of both devices"
        assert func is not Tensor.numpy, "an array cannot lie on the GPU"
    result = _device_of_result(func, args, kwargs, any(on_gpu))
    moves = func in _MOVES and result != (GPU if on_gpu[0] else HOST)
    selects = func is Tensor.__getitem__ and any(tensor.dtype == torch.bool for tensor in tensors[1:])
    non_blocking = kwargs.get("non_blocking") or any(argument is True for argument in args)
    waits = any(on_gpu) and (func in _LOOKS or selects)
    waits |= (moves and not non_blocking) or (func in _SENDS and result == GPU)
    with torch._C.DisableTorchFunctionSubclass():
        found = func(*tree_map(_on_host, args), **tree_map(_on_host, kwargs))
        if moves and func is not Tensor.copy_:
            found = found.clone().as_subclass(Tensor)
        return tree_map(_on_gpu, found) if result == GPU else found, waits


def _device_of_result(
    func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any], any_on_gpu: bool
) -> torch.device:
    named = kwargs.get("device")
    if func is Tensor.cpu:
        named = HOST
    elif func is Tensor.cuda:
        named = GPU
    elif func is Tensor.to and len(args) > 1 and isinstance(args[1], Tensor):
        named = args[1].device
    elif func is Tensor.to and len(args) > 1 and isinstance(args[1], str | torch.device):
        named = args[1]
    elif func is Tensor.copy_:
        named = args[0].device
    if named is None:
        return GPU if any_on_gpu else HOST
    return GPU if torch.device(named).type == GPU.type else HOST


def _on_host(value: object) -> object:
    named = isinstance(value, torch.device) or (isinstance(value, str) and value.startswith(GPU.type))
    return HOST if named else value


def _on_gpu(value: object) -> object:
    if not isinstance(value, Tensor) or isinstance(value, GPUTensor):
        return value
    if value.is_leaf and value.requires_grad:
        return value.detach().as_subclass(GPUTensor).requires_grad_()
    return value.as_subclass(GPUTensor)
