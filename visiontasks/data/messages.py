"""Messages of the first process alone; Lightning, which knows which one that is, is imported once there is one."""


def inform(message: str) -> None:
    """Log a message."""
    from lightning.pytorch.utilities import rank_zero_info

    rank_zero_info(message)


def warn(message: str) -> None:
    """Warn, as of the caller's caller."""
    from lightning.pytorch.utilities import rank_zero_warn

    rank_zero_warn(message, stacklevel=6)
