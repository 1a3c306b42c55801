"""Download of published files, with checksums, resumption, mirrors and several processes at once."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from time import monotonic
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from filelock import FileLock, Timeout
from tqdm import tqdm

from visiontasks.errors import ArgumentError, DownloadError
from visiontasks.files import publish

_CHUNK = 1 << 20
_SLOWEST = 1024
"""Bytes per second; a server that is slower for a whole time-out is given up, so that it cannot stall a run."""
_LOCK_WAIT = 3600.0
"""Seconds to wait while another process downloads into the same folder."""


class _MirrorError(Exception):
    """An address did not provide the file; the next one may."""


class _BrokenTransferError(_MirrorError):
    """A transfer was interrupted; the bytes received are kept, and the next attempt continues from there."""


def download(urls: Sequence[str], target: Path, checksum: str, *, timeout: float = 30.0, attempts: int = 3) -> Path:
    """Download a file unless it exists already.

    The bytes are written to ``target.part`` in the same folder, which a later call resumes; only a file with the right
    checksum gets the final name. Several processes may ask for the same file: one downloads, the others wait for it.

    Args:
        urls: Addresses of the same file (http or https), tried in order.
        target: Path of the file. An existing file is returned without verification.
        checksum: Expected digest, ``"md5:<hex>"`` or ``"sha256:<hex>"``.
        timeout: Seconds to wait for a connection and for each further block of data.
        attempts: Maximum number of attempts per address when a transfer is interrupted; at least 1.

    Returns:
        ``target``.

    Raises:
        ArgumentError: An address is neither http nor https, or the checksum is not of the form above.
        DownloadError: No address provided the file, or it could not be written.
    """
    algorithm, _, digest = checksum.lower().partition(":")
    if algorithm not in ("md5", "sha256") or not digest:
        message = f"checksum is {checksum!r}; expected 'md5:<hex digest>' or 'sha256:<hex digest>'."
        raise ArgumentError(message)
    if not urls or any(urlsplit(url).scheme not in ("http", "https") for url in urls):
        message = f"urls is {list(urls)}; expected at least one address, each beginning with http:// or https://."
        raise ArgumentError(message)
    if target.is_file():
        return target
    part = target.with_name(f"{target.name}.part")
    reasons = []
    try:
        with exclusive_access(target.parent):
            for url in () if target.is_file() else urls:
                try:
                    _fetch(url, part, algorithm, digest, timeout, attempts)
                except _MirrorError as error:
                    reasons.append(f"  {url}: {error}")
                else:
                    publish(part, target)
                    break
    except OSError as error:
        message = f"{target} could not be written: {error}. Choose a folder that is writable and has room."
        raise DownloadError(message) from error
    if not target.is_file():
        listing = "\n".join(reasons)
        message = (
            f"{target.name} could not be downloaded:\n{listing}\nCheck the connection and try again (what arrived is "
            f"kept and resumed), or put the file at {target} by hand ({algorithm} {digest})."
        )
        raise DownloadError(message)
    return target


@contextmanager
def exclusive_access(folder: Path) -> Iterator[None]:
    """Keep other processes, on this or another node, from writing into a folder at the same time.

    Args:
        folder: The folder, created if it does not exist. An empty file ``.download.lock`` remains in it.

    Raises:
        DownloadError: Another process did not finish within an hour.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".download.lock", timeout=_LOCK_WAIT)
    try:
        lock.acquire()
    except Timeout:
        message = (
            f"another process has been downloading into {folder} for {_LOCK_WAIT:g} s. Wait until it is done; "
            f"if there is none, delete {lock.lock_file}."
        )
        raise DownloadError(message) from None
    try:
        yield
    finally:
        lock.release()


def _fetch(url: str, part: Path, algorithm: str, digest: str, timeout: float, attempts: int) -> None:
    """Fill ``part`` from one address until its checksum is right."""
    broken = 0
    while True:
        try:
            resumed = _transfer(url, part, timeout)
        except _BrokenTransferError:
            broken += 1
            if broken >= attempts:
                raise
            continue
        with part.open("rb") as file:
            actual = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
        if actual == digest:
            return
        size = part.stat().st_size
        part.unlink()
        # The bytes of an earlier download may be wrong, not this address: request the whole file once more.
        if not resumed:
            message = f"sent another file ({size} bytes, {algorithm} {actual}; expected {algorithm} {digest})"
            raise _MirrorError(message)


def _transfer(url: str, part: Path, timeout: float) -> bool:
    """Write the response to one request; return whether the file still begins with bytes of an earlier one."""
    offset = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "visiontasks"} | ({"Range": f"bytes={offset}-"} if offset else {})
    try:
        response: HTTPResponse = _opener().open(request.Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # nothing beyond the offset: its checksum tells whether the file is complete
            return True
        message = f"HTTP {error.code} {error.reason}"
        raise _MirrorError(message) from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        message = f"no answer within {timeout:g} s" if isinstance(reason, TimeoutError) else f"no connection ({reason})"
        raise _MirrorError(message) from error
    with response:
        resumed = response.status == 206
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
            part.unlink(missing_ok=True)
            message = "answered with another range than the one asked for"
            raise _BrokenTransferError(message)
        start = offset if resumed else 0
        total = None if response.length is None else start + response.length
        name = part.name.removesuffix(".part")
        # disable=None: silent if stderr is not a terminal
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(desc=name, total=total, initial=start, unit="B", unit_scale=True, disable=None) as bar,
        ):
            for chunk in _chunks(response, timeout):
                file.write(chunk)
                bar.update(len(chunk))
    return resumed


def _chunks(response: HTTPResponse, timeout: float) -> Iterator[bytes]:
    """Yield the body as it arrives; raise if the transfer breaks off, stops or becomes too slow."""
    expected, received = response.length, 0
    window_start, window_received = monotonic(), 0
    while True:
        try:
            chunk = response.read1(_CHUNK)
        except (OSError, HTTPException) as error:
            message = f"broke off after {received} bytes ({str(error) or type(error).__name__})"
            raise _BrokenTransferError(message) from error
        if not chunk:
            break
        received += len(chunk)
        yield chunk
        if monotonic() - window_start >= timeout:
            if received - window_received < _SLOWEST * timeout:
                message = f"sent only {received - window_received} bytes in {timeout:g} s"
                raise _BrokenTransferError(message)
            window_start, window_received = monotonic(), received
    if expected is not None and received < expected:
        message = f"broke off after {received} of {expected} bytes"
        raise _BrokenTransferError(message)


def _opener() -> request.OpenerDirector:
    """Create an opener for http and https only, so that a redirect cannot lead to ftp or to a local file."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPRedirectHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPErrorProcessor,
        request.UnknownHandler,
    ):
        opener.add_handler(handler())
    return opener
