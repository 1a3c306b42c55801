"""Cache of parsed annotations: the arrays are stored in a folder and memory-mapped by later runs and all workers."""

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

from visiontasks.data.index.file_names import IMAGE_SUFFIXES, missing_files, suffix_of
from visiontasks.data.index.problems import Parsed, Problem
from visiontasks.data.index.source import AnnotationSource
from visiontasks.data.index.storage import read_extra, read_index, write_index
from visiontasks.errors import DataError
from visiontasks.files import write_atomically

_LOCK_WAIT = 1800.0
"""Seconds to wait while another process parses the same annotations."""
_STAMP = "stamp.json"


def load_index(source: AnnotationSource, *, strict: bool = True) -> Parsed:
    """Parse annotations, or memory-map the result of an earlier call.

    The arrays are in a folder ``.visiontasks`` next to the first annotation file or, if that is not writable, in the
    user's cache folder. They are used as long as the size and modification time, or else the content, of all annotation
    files is unchanged and all files that they name exist. Several processes may call this at once: one parses, the
    others wait.

    Args:
        source: What to parse. Folder listings are not cached, since listing a folder is as fast.
        strict: Whether errors are raised; otherwise they are returned with the warnings, and the index is not kept.

    Returns:
        The index, its arrays mapped from files, and the problems.

    Raises:
        DataError: The annotations have errors; the message gives their number and the first ten.
    """
    if not source.sources() or not source.sources()[0].exists():
        return _parsed(source, strict)
    folders = cache_folders(source.sources()[0].parent)
    for folder in folders:
        entry = folder / _entry_name(source)
        try:
            return _read(entry, source) or _build(entry, source, strict)
        except OSError:  # not writable, or no space: try the next folder, or memory
            continue
    parsed = _parsed(source, strict)
    message = (
        f"the index of {source.sources()[0]} could be kept in none of {', '.join(map(str, folders))}; it is parsed at "
        "every start, and copied into workers that are spawned. Let VISIONTASKS_CACHE name a folder that can be "
        "written and has room."
    )
    warnings.warn(message, stacklevel=2)
    return parsed


def cache_folders(data: Path) -> list[Path]:
    """List the folders that may store an index, the preferred one first.

    Args:
        data: Folder of the annotations.

    Returns:
        The folder given by the environment variable VISIONTASKS_CACHE if it is set. Otherwise ``.visiontasks`` in
        ``data``, and ``visiontasks`` in the folder given by XDG_CACHE_HOME, or in ``~/.cache``.
    """
    if chosen := os.environ.get("VISIONTASKS_CACHE"):
        return [Path(chosen)]
    home = os.environ.get("XDG_CACHE_HOME")
    return [data / ".visiontasks", (Path(home) if home else Path.home() / ".cache") / "visiontasks"]


def _parsed(source: AnnotationSource, strict: bool) -> Parsed:
    parsed = source.parse()
    if strict:
        parsed.require()
    return parsed


def _entry_name(source: AnnotationSource) -> str:
    """Return a name for the cache entry that changes with any file, folder or option."""
    places = [str(Path.cwd()), repr(source)]  # relative paths in the fields depend on the working directory
    return f"{source.sources()[0].stem}-{hashlib.sha256(json.dumps(places).encode()).hexdigest()[:16]}"


def _read(entry: Path, source: AnnotationSource) -> Parsed | None:
    """Map an entry, unless it is absent, damaged, for other annotations, or names a file that does not exist."""
    try:
        stamp = json.loads((entry / _STAMP).read_bytes())
        extra = read_extra(entry)
        stat = _stat(source.sources())
        if stamp != stat:
            if extra["content"] != _content(source.sources()):
                return None
            with suppress(OSError):  # another user's folder: the content is compared every time
                _write_stamp(entry, stat)
        parsed = Parsed(read_index(entry), [Problem(**problem) for problem in extra["problems"]])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # An image may have a new suffix, which only parsing finds.
    return None if missing_files(parsed.index, "") else parsed


def _build(entry: Path, source: AnnotationSource, strict: bool) -> Parsed:
    """Parse, store the result, and map it.

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
            parsed = _parsed(source, strict)
            if any(problem.severity == "error" for problem in parsed.problems):
                return parsed
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
    write_atomically(folder / _STAMP, json.dumps(stat))


def _stat(files: Iterable[Path]) -> str:
    """Compute a digest of names, sizes and modification times."""
    digest = hashlib.sha256()
    for file in files:
        stat = file.stat() if file.exists() else None
        digest.update(repr((str(file), stat and (stat.st_size, stat.st_mtime_ns))).encode())
    return digest.hexdigest()


def _content(files: Iterable[Path]) -> str:
    """Compute a digest of names and contents; of images, whose sizes are all that is read, of names and status."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0".encode(errors="surrogateescape"))
        if suffix_of(file.name) in IMAGE_SUFFIXES:
            digest.update(_stat([file]).encode())
        elif file.exists():
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()
