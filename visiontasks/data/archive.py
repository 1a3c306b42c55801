"""Safe unpacking of archives."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from visiontasks.data.download import exclusive_access, publish
from visiontasks.errors import DataError


def extract_members(archive: Path, members: Sequence[str], folder: Path) -> list[Path]:
    """Take named members out of a zip archive, each to its base name in one folder.

    Nothing else is unpacked, no directory of the archive is recreated, and no link is followed, so that an archive
    cannot write outside ``folder``. Files that exist are left as they are.

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
                    _extract(opened, _plain_member(opened, member), target)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        message = f"{archive} is damaged or no zip archive ({error}). Delete it and download it again."
        raise DataError(message) from error
    except OSError as error:
        message = f"{archive} could not be unpacked into {folder}: {error}. The folder must be writable and have room."
        raise DataError(message) from error
    return targets


def _plain_member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    path = PurePosixPath(name)
    try:
        info = archive.getinfo(name)
    except KeyError:
        message = f"{archive.filename} has no member {name!r}. It is another archive; delete it and download it again."
        raise DataError(message) from None
    unsafe = path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name
    if unsafe or info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
        message = f"{archive.filename}: member {name!r} is refused; expected a plain file below the archive's own root."
        raise DataError(message)
    return info


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        with archive.open(member) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        publish(part, target)
    finally:
        part.unlink(missing_ok=True)
