"""Files saved by torch: read from any address, with their checksums verified, and without running code.

Torch is imported when a file is read, so that :mod:`visiontasks.runs` can look for files without it.
"""

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, Any, Protocol, cast, runtime_checkable

import fsspec

from visiontasks.errors import ArgumentError, CheckpointError


@runtime_checkable
class BinaryFile(Protocol):
    """A file that was opened for reading bytes, or a ``BytesIO``."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most ``size`` bytes, or all that are left."""

    def seekable(self) -> bool:
        """Whether the position can be set."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Set the position."""


Source = str | os.PathLike[str] | BinaryFile
"""A local file, an address that fsspec opens (``s3://``, ``gs://``, ``memory://``, ``https://``), or a file object."""


class _Downloaded(BytesIO):
    def __init__(self, content: bytes, name: str) -> None:
        super().__init__(content)
        self.name = name


def is_address(source: object) -> bool:
    """Whether a source is the address of a remote file, as text.

    Example:
        >>> is_address("s3://bucket/a.ckpt"), is_address("runs/a.ckpt")
        (True, False)
    """
    return isinstance(source, str) and "://" in source


def name_of(source: Source) -> str:
    """Return the name of a source for messages.

    Example:
        >>> name_of(Path("a.ckpt")), name_of(BytesIO())
        ('a.ckpt', 'BytesIO')
    """
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else type(source).__name__


@contextmanager
def open_source(source: Source) -> Iterator[BinaryFile]:
    """Open a source for reading from its start.

    Args:
        source: The source. A remote file is read as a whole, once, into memory; a file object is left open.

    Yields:
        A file object in which positions can be set.

    Raises:
        CheckpointError: If there is no such file, or it cannot be opened.
    """
    if not isinstance(source, str | os.PathLike):
        if source.seekable():
            source.seek(0)
            yield source
        else:
            yield BytesIO(source.read())
    elif is_address(source):
        yield _Downloaded(_download(str(source)), str(source))
    else:
        try:
            file = Path(source).open("rb")  # noqa: SIM115 (closed below; only opening is tried)
        except OSError as error:
            message = f"{name_of(source)!r} cannot be read: {error.strerror}."
            raise CheckpointError(message) from error
        with file:
            yield file if file.seekable() else BytesIO(file.read())


def _download(address: str) -> bytes:
    try:
        filesystem, path = fsspec.url_to_fs(address)
        content: bytes = filesystem.cat_file(path)
    except FileNotFoundError as error:
        message = f"There is nothing at {address!r}."
        raise CheckpointError(message) from error
    except ImportError as error:
        message = f"{address!r} cannot be read: a package is missing that fsspec needs for it ({error})."
        raise CheckpointError(message) from error
    except Exception as error:  # which one depends on the protocol
        message = (
            f"{address!r} cannot be read ({type(error).__name__}: {error}). Check the address, the network and the "
            "credentials."
        )
        raise CheckpointError(message) from error
    return content


def load_file(source: Source, map_location: Any = "cpu") -> Any:  # noqa: ANN401 (what torch takes; whatever was saved)
    """Read a file saved by torch, without running any code that it may contain.

    The checksum of every record is verified before anything is loaded, which takes 0.04 s per 100 MB; torch itself
    verifies none. Files in the format before torch 1.6 have no checksums and are read without.

    Args:
        source: The file.
        map_location: Where to put the tensors; see :func:`torch.load`.

    Returns:
        The saved object.

    Raises:
        CheckpointError: If the file is missing, damaged, or holds objects other than tensors and plain values.
    """
    import torch

    name = name_of(source)
    with open_source(source) as file:
        verify(file, name)
        file.seek(0)
        try:
            return torch.load(cast(IO[bytes], file), map_location=map_location, weights_only=True)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            # torch's message names the object but advises loading it unsafely, which this function must not do. Which
            # other exceptions it raises depends on where the file is damaged.
            unsafe = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, UnpicklingError) else None
            if unsafe is None:
                raise _no_checkpoint(name, error) from error
            message = (
                f"{name!r} holds {unsafe[1]} beside tensors and plain values, and was refused, because loading it "
                "could run code. Checkpoints of visiontasks never need that; do not load this file if you do not know "
                "its origin."
            )
            raise CheckpointError(message) from error


def check_weights_only(weights_only: bool | None) -> None:
    """Refuse the argument of Lightning that lets a checkpoint run code.

    Raises:
        ArgumentError: If it is false.
    """
    if weights_only is False:
        message = (
            "weights_only is False, which lets a checkpoint run any code when it is read. Leave it out: checkpoints of "
            "visiontasks hold tensors and plain values only."
        )
        raise ArgumentError(message)


def verify(file: BinaryFile, name: str) -> None:
    """Verify the checksums of all records of a file saved by torch.

    Args:
        file: The file, at its start.
        name: Its name in messages.

    Raises:
        CheckpointError: If a checksum does not match its record, or the file is no archive.
    """
    # Before torch 1.6 a file was a sequence of pickles, which has no checksums; every pickle starts with this byte.
    if file.read(1) == b"\x80":
        return
    try:
        archive = zipfile.ZipFile(file)
    except Exception as error:  # which one depends on the damage
        raise _no_checkpoint(name, error) from error
    with archive:
        # They are all zero where torch.serialization.set_crc32_options has turned them off.
        records = archive.infolist() if any(record.CRC for record in archive.infolist()) else []
        for record in records:
            try:
                with archive.open(record) as content:
                    while content.read(1 << 20):
                        pass
            except Exception as error:
                message = (
                    f"{name!r} is damaged: the checksum of its record {record.filename!r} does not match. Use an "
                    "earlier one."
                )
                raise CheckpointError(message) from error


def read_values(path: Path) -> Any:  # noqa: ANN401 (whatever was saved)
    """Read the plain values of a local file saved by torch, and map its tensors without reading them.

    Args:
        path: The file, in the format of torch 1.6 and later.

    Returns:
        The saved object. Nothing of it has been verified.

    Raises:
        CheckpointError: If it cannot be read.
    """
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        raise _no_checkpoint(name_of(path), error) from error


def _no_checkpoint(name: str, error: Exception) -> CheckpointError:
    return CheckpointError(f"{name!r} is damaged or not a checkpoint ({type(error).__name__}). Use an earlier one.")
