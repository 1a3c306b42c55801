"""Safe unpacking of archives."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol, Self, runtime_checkable

from tqdm import tqdm

from visiontasks.data.download.transfer import exclusive_access
from visiontasks.errors import DataError
from visiontasks.files import replacing


@runtime_checkable
class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def extract_members(archive: Path, members: Sequence[str], folder: Path) -> list[Path]:
    """Extract the named members of a zip archive into one folder, each under its base name.

    Nothing else is unpacked, no directory of the archive is recreated, and no link is followed, so that an archive
    cannot write outside ``folder``. Existing files are left unchanged.

    Args:
        archive: A zip file.
        members: Full names inside the archive.
        folder: Where the files go; created when absent.

    Returns:
        The extracted files, in the order of ``members``.

    Raises:
        DataError: The archive is damaged, lacks a member, or a member is not a plain file inside the archive's tree.
    """
    targets = [folder / PurePosixPath(member).name for member in members]
    try:
        with exclusive_access(folder), zipfile.ZipFile(archive) as opened:
            for member, target in zip(members, targets, strict=True):
                if not target.is_file():
                    with opened.open(_plain_member(opened, member)) as source:
                        _write(source, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        message = f"{archive} is damaged or not a zip archive ({error}). Delete it and download it again."
        raise DataError(message) from error
    except OSError as error:
        message = f"{archive} could not be unpacked into {folder}: {error}. The folder must be writable and have room."
        raise DataError(message) from error
    return targets


def extract_archive(archive: Path, folder: Path, done: Path) -> None:
    """Unpack a whole tar or zip archive, then delete it.

    All names are checked before anything is written; an archive with absolute names, names that contain ``..``, links
    or devices is rejected. Files appear under their names once they are complete; existing files are left unchanged, so
    that a call continues where an interrupted one stopped.

    Args:
        archive: The file.
        folder: Where its tree goes.
        done: Marker file, created at the end, whose existence means that the archive is unpacked.

    Raises:
        DataError: The archive is damaged or contains an unsafe member.
    """
    try:
        with exclusive_access(done.parent):
            if done.exists():
                return
            opened: _Tar | _Zip = _Tar(archive) if tarfile.is_tarfile(archive) else _Zip(archive)
            with opened:
                members = opened.members()
                for name, size in tqdm(members, desc=f"unpacking {archive.name}", unit=" files", disable=None):
                    target = folder / name
                    if not (target.is_file() and target.stat().st_size == size):
                        target.parent.mkdir(parents=True, exist_ok=True)
                        with opened.open(name) as source:
                            _write(source, target)
            done.touch()
            archive.unlink()
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, RuntimeError) as error:
        message = f"{archive} is damaged or not a tar or zip archive ({error}). Delete it and download it again."
        raise DataError(message) from error
    except OSError as error:
        message = f"{archive} could not be unpacked into {folder}: {error}. The folder must be writable and have room."
        raise DataError(message) from error


class _Zip(zipfile.ZipFile):
    def members(self) -> list[tuple[str, int]]:
        """List the names and sizes of the plain files."""
        infos = [info for info in self.infolist() if not info.is_dir()]
        return [(_plain_member(self, info.filename).filename, info.file_size) for info in infos]


class _Tar:
    def __init__(self, archive: Path) -> None:
        self.archive = archive
        self.file = tarfile.open(archive)  # noqa: SIM115 (closed on exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def members(self) -> list[tuple[str, int]]:
        """List the names and sizes of the plain files."""
        members = [member for member in self.file if not member.isdir()]
        for member in members:
            if not member.isreg() or _leaves_folder(member.name):
                raise DataError(_refusal(str(self.archive), member.name))
        return [(member.name, member.size) for member in members]

    @contextmanager
    def open(self, name: str) -> Iterator[_Readable]:
        source = self.file.extractfile(name)
        assert source is not None
        with source:
            yield source


def _plain_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(name)
    except KeyError:
        message = f"{archive.filename} has no member {name!r}. It is another archive; delete it and download it again."
        raise DataError(message) from None
    if _leaves_folder(name) or info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
        raise DataError(_refusal(str(archive.filename), name))
    return info


def _leaves_folder(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name


def _refusal(archive: str, name: str) -> str:
    return f"{archive}: member {name!r} is refused; expected a plain file below the archive's own root."


def _write(source: _Readable, target: Path) -> None:
    with replacing(target) as part, part.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
