"""Weighted sums of losses, and losses of a user's own."""

from collections.abc import Callable, Collection, Mapping

from torch import Tensor, nn

from visiontasks.errors import ArgumentError, near_matches
from visiontasks.import_paths import import_callable


def parse_factors(loss: str | Mapping[str, float], known: Collection[str]) -> dict[str, float]:
    """Read the factor of each loss of a weighted sum.

    Args:
        loss: Name of a single loss, whose factor is 1, or a factor for each of several losses.
        known: Names of all known losses; a name with a dot is the import path of another, see :func:`own_loss`.

    Raises:
        ArgumentError: If a loss is unknown, a factor is not positive, or no loss is given.

    Example:
        >>> parse_factors("dice", ["dice", "focal"])
        {'dice': 1.0}
    """
    factors = {loss: 1.0} if isinstance(loss, str) else dict(loss)
    for name, factor in factors.items():
        if name not in known and "." not in name:
            message = f"There is no loss {name!r}. {near_matches(name, known)}"
            raise ArgumentError(message)
        if not factor > 0:
            message = f"The factor of the loss {name!r} is {factor}; expected a positive number."
            raise ArgumentError(message)
    if not factors:
        message = f"loss is {loss}; expected at least one loss of {', '.join(known)}."
        raise ArgumentError(message)
    return factors


def own_loss(path: str) -> Callable[..., Tensor]:
    """Import a loss of a user's own: a function, or a module, which is created without arguments.

    Args:
        path: Its import path, such as ``"my_module.my_loss"``.

    Raises:
        ArgumentError: If there is none.
    """
    loss = import_callable(path)
    if isinstance(loss, type):
        if not issubclass(loss, nn.Module):
            message = f"{path!r} is a class; expected a function or a torch.nn.Module that computes a loss."
            raise ArgumentError(message)
        loss = loss()
    return loss
