"""State dicts with the names that others give, for tests of weights."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

State = dict[str, Tensor]


def torchvision_state(name: str) -> State:
    """Make the state dict of torchvision's model as old files are: without the counters of batches."""
    options = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **options)
    shapes = {key: value.shape for key, value in model.state_dict().items() if "num_batches" not in key}
    return {key: torch.rand(shape) / 10 for key, shape in shapes.items()}


def equal(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[key]) for key, value in one.items())


def numbered(make: Callable[[], nn.Module], offset: float = 0) -> State:
    """Fill the state dict of a network, each tensor with a number of its own, so that a wrong one is noticed.

    A tensor is one number in memory and in a file of torch, whatever its shape.
    """
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in make().state_dict().items()}
    return {
        key: torch.tensor(float(offset + number)).expand(shape) for number, (key, shape) in enumerate(shapes.items())
    }


def behind(prefix: str, state: State) -> State:
    """Put the same in front of all names."""
    return {f"{prefix}{key}": value for key, value in state.items()}
