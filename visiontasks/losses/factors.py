"""Weighted sums of losses."""

from collections.abc import Collection, Mapping

from visiontasks.errors import ArgumentError, near_matches


def parse_factors(loss: str | Mapping[str, float], known: Collection[str]) -> dict[str, float]:
    """Read the factor of each loss of a weighted sum.

    Args:
        loss: Name of a single loss, whose factor is 1, or a factor for each of several losses.
        known: Names of all known losses.

    Raises:
        ArgumentError: If a loss is unknown, a factor is not positive, or no loss is given.

    Example:
        >>> parse_factors("dice", ["dice", "focal"])
        {'dice': 1.0}
    """
    factors = {loss: 1.0} if isinstance(loss, str) else dict(loss)
    for name, factor in factors.items():
        if name not in known:
            message = f"There is no loss {name!r}. {near_matches(name, known)}"
            raise ArgumentError(message)
        if not factor > 0:
            message = f"The factor of the loss {name!r} is {factor}; expected a positive number."
            raise ArgumentError(message)
    if not factors:
        message = f"loss is {loss}; expected at least one loss of {', '.join(known)}."
        raise ArgumentError(message)
    return factors
