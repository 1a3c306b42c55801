"""A small disk for a command: a file system of its own, which is gone when the command ends."""

import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SMALL_DISK = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]


def on_small_disk(folder: Path | str, size: str = "1M", filled: bool = False) -> list[str]:
    """Begin a command that finds a small disk in a folder; it prints the names of what is there after it.

    Args:
        folder: An existing folder.
        size: Size of the disk, as for mount.
        filled: Whether it is full from the beginning.
    """
    fill = f"&& {{ cat /dev/zero > '{folder}/filler' 2>/dev/null; true; }}" if filled else ""
    script = f"mount -t tmpfs -o size={size} tmpfs '{folder}' {fill} && \"$@\"; code=$?; ls -A '{folder}'; exit $code"
    return [*_SMALL_DISK, script, "sh"]


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file grow beyond 64 KiB: only for a moment, since the report of the tests may go to a file, too."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def may_mount() -> bool:
    """Tell whether this system lets a test have a disk of its own."""
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    command = [*on_small_disk("/dev/shm"), "true"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
