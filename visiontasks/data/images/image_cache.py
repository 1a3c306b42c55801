"""Decoded images in memory, shared by all workers of a machine."""

import mmap
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Int64, Integer

from visiontasks.data.images.arrays import Pixels
from visiontasks.errors import ArgumentError


class ImageCache:
    """Stores each image when the first worker decodes it.

    Forked workers share one block of memory; each spawned worker has its own. The block uses memory only as it fills.

    Args:
        sizes: Height and width of each image, in pixels.
        channels: Number of channels of the images.

    Raises:
        ArgumentError: If the images need more memory than is available.
    """

    def __init__(self, sizes: Integer[np.ndarray, "images 2"], channels: int) -> None:
        self.sizes = sizes.astype(np.int64)
        self.channels = channels
        ends = np.cumsum(self.sizes.prod(1) * channels)
        total, available = int(ends[-1]), _available_memory()
        if total > available:
            message = (
                f"The cache of {len(sizes)} decoded images needs {total / 2**30:.1f} GiB of memory, and "
                f"{available / 2**30:.1f} GiB are free. Use cache=False, or resize the image files."
            )
            raise ArgumentError(message)
        self.starts: Int64[np.ndarray, " images"] = ends - self.sizes.prod(1) * channels
        # Anonymous memory, which is shared with forked processes and not limited by the shared-memory disk.
        self.pixels = np.frombuffer(mmap.mmap(-1, total), np.uint8)
        self.filled = np.frombuffer(mmap.mmap(-1, len(sizes)), np.bool_)

    def get(self, index: int, read: Callable[[], Pixels]) -> Pixels:
        """Return an image; read it if it is not stored yet."""
        height, width = self.sizes[index]
        start = self.starts[index]
        slot = self.pixels[start : start + height * width * self.channels].reshape(height, width, self.channels)
        if not self.filled[index]:
            slot[:] = read()
            self.filled[index] = True
        return slot

    def __reduce__(self) -> tuple[type[Self], tuple[Integer[np.ndarray, "images 2"], int]]:
        return type(self), (self.sizes, self.channels)


def _available_memory() -> float:
    info = Path("/proc/meminfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    return float("inf")
