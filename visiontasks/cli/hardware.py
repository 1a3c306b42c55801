"""Choice of precision and memory settings for the hardware."""

import ctypes
import sys
from collections.abc import Mapping

import torch
from jsonargparse import Namespace
from lightning.pytorch.utilities.rank_zero import rank_zero_only

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def has_bf16(accelerator: str) -> bool:
    """Return whether an accelerator computes in bfloat16 natively, not by emulation.

    Args:
        accelerator: The Trainer's argument: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"cuda"`` and so on.

    Returns:
        True for GPUs from compute capability 8.0 on and for CPUs with AVX512-BF16 or AMX.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator not in ("auto", "cpu") or (accelerator == "auto" and torch.backends.mps.is_available()):
        return False
    # Torch's mkldnn test is also true for CPUs that only emulate it, at half speed; older torch lists no capabilities.
    capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def default_precision(accelerator: str) -> str:
    """Choose the Trainer's precision: ``"bf16-mixed"`` if the hardware supports it, otherwise ``"32-true"``."""
    return "bf16-mixed" if has_bf16(accelerator) else "32-true"


def choose_precision(trainer: Namespace) -> None:
    """Choose the precision by the hardware unless the user did, and say so.

    Args:
        trainer: The configuration of the Trainer; changed.
    """
    if trainer.precision is None:
        trainer.precision = default_precision(str(trainer.accelerator))
        if trainer.precision == "bf16-mixed":
            text = (
                "to save time, part of the arithmetic has 16 bits (bf16), which this hardware supports; for 32 bits in "
                "all of it: --trainer.precision 32-true."
            )
        else:
            text = "all arithmetic has 32 bits, as this hardware has none of 16 (bf16)."
        rank_zero_only(print)(f"Precision {trainer.precision}: {text}")


def keep_freed_memory() -> None:
    """Make glibc keep large freed blocks for the next step instead of returning them to the system.

    A training step on the CPU frees tensors and allocates as many again, and the system has to clear new pages first.
    This has no effect without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
