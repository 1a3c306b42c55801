"""Annotations are parsed once: the arrays are kept in a folder and mapped by every later start and every worker."""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from visiontasks.data.index.files import missing_files
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import AnnotationSource
from visiontasks.data.index.storage import read_extra, read_index, write_index
from visiontasks.errors import DataError

_LOCK_WAIT = 1800.0
"""Seconds to wait while another process parses the same annotations."""
_STAMP = "stamp.json"


def load_index(source: AnnotationSource) -> Parsed:
    """Parse annotations, or map what an earlier call has parsed.

    The arrays lie in a folder ``.visiontasks`` next to the first annotation file, or where that cannot be written, in
    the user's cache folder. They are used as long as size and time of modification of all annotation files are the
    recorded ones, or else their content is, and all files that they name are there. Several processes may ask at once:
    one parses, the others wait.

    Args:
        source: What to parse. The listing of a folder is not kept: reading it takes no longer.

    Returns:
        The index, its arrays mapped from files, and the warnings.

    Raises:
        DataError: The annotations have errors: their number and the first ten.
    """
    if not source.sources() or not source.sources()[0].exists():
        return _required(source)
    folders = cache_folders(source.sources()[0].parent)
    for folder in folders:
        entry = folder / _entry_name(source)
        try:
            return _read(entry, source) or _build(entry, source)
        except OSError:  # not writable, or no room: the next folder, or memory, may do
            continue
    parsed = _required(source)
    message = (
        f"the index of {source.sources()[0]} could be kept in none of {', '.join(map(str, folders))}; it is parsed at "
        "every start, and copied into workers that are spawned. Let VISIONTASKS_CACHE name a folder that can be "
        "written and has room."
    )
    warnings.warn(message, stacklevel=2)
    return parsed


def cache_folders(data: Path) -> list[Path]:
    """List the folders that an index may be kept in, the preferred one first.

    Args:
        data: Folder of the annotations.

    Returns:
        The one that the variable VISIONTASKS_CACHE names, if it is set. Otherwise ``.visiontasks`` in ``data``, and
        ``visiontasks`` in the folder that XDG_CACHE_HOME names, or in ``~/.cache``.
    """
    if chosen := os.environ.get("VISIONTASKS_CACHE"):
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME")
    return [data / ".visiontasks", (Path(home) if home else Path.home() / ".cache") / "visiontasks"]


def _required(parsed: Parsed | AnnotationSource) -> Parsed:
    parsed = parsed if isinstance(parsed, Parsed) else parsed.parse()
    parsed.require()
    return parsed


def _entry_name(source: AnnotationSource) -> str:
    """Name the parse: another file, folder or option gives another entry."""
    places = [str(Path.cwd()), repr(source)]  # relative paths in the fields mean something else elsewhere
    return f"{source.sources()[0].stem}-{hashlib.sha256(json.dumps(places).encode()).hexdigest()[:16]}"


def _read(entry: Path, source: AnnotationSource) -> Parsed | None:
    """Map an entry, unless it is absent, damaged or of other annotations, or names a file that is not there."""
    try:
        stamp = json.loads((entry / _STAMP).read_bytes())
        extra = read_extra(entry)
        stat = _stat(source.sources())
        if stamp != stat:
            if extra["content"] != _content(source.sources()):
                return None
            with suppress(OSError):  # another user's folder: the content is compared at each start
                _write_stamp(entry, stat)
        parsed = Parsed(read_index(entry), [Problem(**problem) for problem in extra["problems"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # An image may have got another suffix, which only the parse finds.
    return None if missing_files(parsed.index, "") else parsed


def _build(entry: Path, source: AnnotationSource) -> Parsed:
    """Parse, keep the result, and map it.

    Raises:
        DataError: The annotations have errors, or another process holds the lock for too long.
        OSError: The folder cannot be written.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{entry}.lock", timeout=_LOCK_WAIT)
    try:
        with lock:
            if (parsed := _read(entry, source)) is not None:
                return parsed
            stat, content = _stat(source.sources()), _content(source.sources())
            parsed = _required(source)
            part, old = (entry.with_name(f"{entry.name}.{suffix}") for suffix in ("part", "old"))
            for left_over in (part, old):
                shutil.rmtree(left_over, ignore_errors=True)
            try:
                problems = [asdict(problem) for problem in parsed.problems]
                write_index(parsed.index, part, {"content": content, "problems": problems})
                _write_stamp(part, stat)
                if entry.exists():
                    entry.rename(old)
                part.rename(entry)
            finally:
                for left_over in (part, old):
                    shutil.rmtree(left_over, ignore_errors=True)
            return Parsed(read_index(entry), parsed.problems)
    except Timeout:
        message = (
            f"another process has been parsing {source.sources()[0]} for {_LOCK_WAIT:g} s. Wait until it is done; "
            f"if there is none, delete {lock.lock_file}."
        )
        raise DataError(message) from None


def _write_stamp(folder: Path, stat: str) -> None:
    part = folder / f"{_STAMP}.{os.getpid()}"
    with part.open("w") as file:
        json.dump(stat, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / _STAMP)


def _stat(files: Iterable[Path]) -> str:
    """Digest names, sizes and times of modification."""
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat() if file.exists() else None
        digest.update(repr((str(file), stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()


def _content(files: Iterable[Path]) -> str:
    """Digest names and contents."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0".encode(errors="surrogateescape"))
        if file.exists():
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
