"""A value on its way from a GPU to the host, which goes on meanwhile."""

import torch
from torch import Tensor


class Arriving:
    """A single number of any device, copied to the host without waiting for what computes it.

    Args:
        value: The number; a later change of it is not seen.

    Example:
        >>> Arriving(torch.tensor(2.5)).item()
        2.5
    """

    def __init__(self, value: Tensor) -> None:
        self._event: torch.Event | None = None
        # Where the copy would not be waited for, it is read when it is complete.
        self._value = value.detach().to("cpu", non_blocking=value.is_cuda, copy=True)
        if value.is_cuda:
            self._event = torch.Event(value.device)
            self._event.record()

    @property
    def arrived(self) -> bool:
        """Whether it can be read at once."""
        return self._event is None or self._event.query()

    def item(self) -> float | int | bool:
        """Return the number, when it has arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._value.item()
