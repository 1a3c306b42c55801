"""Choice of arithmetic and memory by what the hardware has."""

import ctypes
import sys
from collections.abc import Mapping

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def has_bf16(accelerator: str) -> bool:
    """Say whether an accelerator computes in bfloat16 by itself, not by emulation.

    Args:
        accelerator: The Trainer's argument: ``"auto"``, ``"cpu"``, ``"gpu"``, ``"cuda"`` and so on.

    Returns:
        True for GPUs from compute capability 8.0 on and for CPUs with AVX512-BF16 or AMX.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator not in ("auto", "cpu") or (accelerator == "auto" and torch.backends.mps.is_available()):
        return False
    # Torch's mkldnn test says yes to CPUs that only emulate it, at half the speed; older torch lists no capabilities.
    capabilities: Mapping[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def default_precision(accelerator: str) -> str:
    """Choose the Trainer's precision: ``"bf16-mixed"`` where the hardware has it, else ``"32-true"``."""
    return "bf16-mixed" if has_bf16(accelerator) else "32-true"


def keep_freed_memory() -> None:
    """Tell glibc to keep big blocks for the next step instead of returning them to the system after each.

    A training step on the CPU frees tensors and asks for as many again; fresh pages have to be cleared first. Elsewhere
    than on glibc, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
