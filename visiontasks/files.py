"""Files that are complete once they have their names."""

import errno
import hashlib
import os
import re
import shutil
import socket
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT}
"""Errors of a disk or a quota that leaves no room for a file."""

_HOST = socket.gethostname().replace(".", "-")

_LONGEST = 150
"""Maximum number of bytes of a name that is part of that of its temporary file; file systems allow 255 in all."""


def write_atomically(file: Path, content: str | bytes, flush: bool = True) -> None:
    """Write a file at once; whatever happens, there is the whole file, or what was there before.

    Args:
        file: The file; its folder is created.
        content: Its bytes, or text that becomes UTF-8.
        flush: See :func:`replacing`.

    Raises:
        OSError: If it cannot be written; it names the file.
    """
    with replacing(file, flush=flush) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def replacing(file: Path, flush: bool = True, keep: bool = False) -> Iterator[Path]:
    """Let a file be written under a temporary name in its folder, and give it its own name at the end.

    Temporary files of this file that processes of this machine left when they were killed are removed.

    Args:
        file: The file; its folder is created. A pipe or a device is written directly.
        flush: Whether to wait until its bytes are on the disk before it gets its name, so that it is also whole after
            a loss of power. Many small files are written much faster without.
        keep: Whether the temporary file is called ``NAME.part`` and is left after an error.

    Yields:
        The temporary file, which does not exist yet.

    Raises:
        OSError: If the file cannot be written. One of the block that names no file, or the temporary one, names
            ``file`` instead.
    """
    if file.exists() and not file.is_file() and not file.is_dir():
        yield file
        return
    part = file.with_name(f"{file.name}.part" if keep else f"{_hidden(file)}.{_HOST}.{os.getpid()}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        for left_over in _left_over(file.parent).pop(_hidden(file), ()):
            _remove(left_over)
        yield part
        publish(part, file, flush)
    except BaseException as error:
        for one in _chain(error):
            if isinstance(one, OSError) and one.filename in (None, str(part)):
                one.filename = str(file)
        if not keep:
            with suppress(OSError):
                part.unlink()
        raise


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Let a folder be filled under a temporary name beside it, and give it its own name at the end.

    Temporary folders of this folder that processes of this machine left when they were killed are removed. Whether the
    files in it are on the disk is left to the system.

    Args:
        folder: The folder, which does not exist or is empty.

    Yields:
        The temporary folder, which is empty.

    Raises:
        OSError: If the folder is not empty, or it cannot be written. One of a temporary file names ``folder`` instead.
    """
    folder = folder.absolute()
    part = folder.with_name(f"{_hidden(folder)}.{_HOST}.{os.getpid()}.part")
    if folder.is_dir() and any(folder.iterdir()):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(folder))
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for name, left_over in _abandoned(part.parent):
            if name == _hidden(folder):
                _remove(left_over)
        part.mkdir()
        yield part
        if folder.is_dir():
            folder.rmdir()
        part.rename(folder)
    except BaseException as error:
        for one in _chain(error):
            if isinstance(one, OSError) and one.filename and Path(str(one.filename)).is_relative_to(part):
                one.filename = str(folder)
        shutil.rmtree(part, ignore_errors=True)
        raise


def publish(part: Path, file: Path, flush: bool = True) -> None:
    """Give a complete file its final name, in the same folder, once its bytes are on the disk.

    Args:
        part: The file under its temporary name.
        file: The final name.
        flush: Whether to wait for the disk.
    """
    if flush:
        with part.open("rb+") as opened:
            os.fsync(opened.fileno())
    part.replace(file)


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files and folders in a folder that processes of this machine left when they were killed."""
    for _, part in _abandoned(folder):
        _remove(part)


def system_error(error: BaseException) -> OSError | None:
    """Find the error of the system that is behind another one; None if there is none."""
    return next((one for one in _chain(error) if isinstance(one, OSError)), None)


def reason(error: OSError) -> str:
    """Describe an error of the system, with the room that is left if the disk is full.

    Example:
        >>> reason(PermissionError(errno.EACCES, "Permission denied", "a.png"))
        'Permission denied'
    """
    text = error.strerror or str(error)
    return f"{text}{_room(Path(str(error.filename)))}" if error.errno in FULL and error.filename else text


class OptionalFiles:
    """Files that a run can do without: if they cannot be written, it warns once and goes on.

    Args:
        kind: What they are, in the plural, such as ``"pictures of predictions"``.

    Example:
        >>> pictures = OptionalFiles("pictures of a run")
        >>> with pictures.in_folder(Path("run")):
        ...     write_atomically(Path("run/a.png"), b"...")  # doctest: +SKIP
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._warned: set[Path | None] = set()

    @contextmanager
    def in_folder(self, folder: Path | None) -> Iterator[None]:
        """Turn errors of the system into a warning; there is one for each folder.

        Args:
            folder: The folder of the files, which is that of one run; None if they are in no folder of their own.
        """
        try:
            yield
        except OSError as error:
            if folder in self._warned:
                return
            self._warned.add(folder)
            where = "" if (file := error.filename or folder) is None else f" to {str(file)!r}"
            message = (
                f"The {self.kind} could not be written{where}: {reason(error)}. The run goes on without; there is no "
                "further warning of this kind."
            )
            warnings.warn(message, stacklevel=3)


def _hidden(file: Path) -> str:
    """Name the temporary files of a file, without their endings."""
    name = os.fsencode(file.name)
    return f".{file.name}" if len(name) <= _LONGEST else f".{hashlib.sha256(name).hexdigest()}"


@cache
def _left_over(folder: Path) -> dict[str, list[Path]]:
    """Find the abandoned files in a folder, by the file that they are of; once, since a folder may hold many files."""
    groups = defaultdict(list)
    for name, part in _abandoned(folder):
        groups[name].append(part)
    return groups


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        part.unlink(missing_ok=True)


def _abandoned(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the temporary files of processes of this machine that have ended, and the start of their names."""
    name = re.compile(rf"(\..+)\.{re.escape(_HOST)}\.(\d+)\.part")
    # Elsewhere a signal 0 ends a process.
    for file in list(folder.iterdir()) if os.name == "posix" else ():
        part = name.fullmatch(file.name)
        if part and not _is_running(int(part[2])):
            yield part[1], file


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # another user's; no number of a process
        pass
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _room(file: Path) -> str:
    folder = next((parent for parent in file.absolute().parents if parent.is_dir()), None)
    if folder is None:
        return ""
    usage = shutil.disk_usage(folder)
    return f" ({usage.free / 2**20:,.1f} of {usage.total / 2**20:,.0f} MiB are free)"
