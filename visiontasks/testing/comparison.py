"""What the contract testers compare with."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Nested = Any  # tensors, and any nesting of them


def require(condition: bool, message: str) -> None:
    """Raise an error that says what was found and what was expected."""
    if not condition:
        raise AssertionError(message)


def equal(one: Nested, other: Nested) -> bool:
    """Compare nestings of tensors bit for bit."""
    ours, theirs = list(_tensors(one)), list(_tensors(other))
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def _tensors(value: Nested) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(item)


def structure(value: Nested) -> object:
    """Describe the types in a nesting of tensors; how many items a list has does not matter."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of {value.ndim} dimensions"
    if isinstance(value, Mapping):
        return {name: structure(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return type(value).__name__, [structure(item) for item in value]
    if isinstance(value, list):
        return sorted({repr(structure(item)) for item in value})
    return type(value).__name__


def check_gradients(module: nn.Module, terms: list[Tensor]) -> None:
    """Check that a gradient of the terms reaches every parameter that needs one."""
    torch.autograd.backward(torch.stack(terms).sum())
    without = [name for name, value in module.named_parameters() if value.requires_grad and value.grad is None]
    require(not without, f"no gradient reaches {without}; unused parameters stop training on several processes")
    module.zero_grad()
