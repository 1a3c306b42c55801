import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest
from filelock import FileLock

from visiontasks.data.download.transfer import download
from visiontasks.errors import ArgumentError, DownloadError

CONTENT = bytes(range(256)) * 4096
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@dataclass
class Server:
    """What the server shall do, by path, and which Range header each request brought."""

    address: str
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    cut: int | None = None
    """Bytes after which the next answer breaks off."""

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.state = Server(f"http://127.0.0.1:{httpd.server_port}")  # type: ignore[attr-defined]  # travels with the server
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield httpd.state  # type: ignore[attr-defined]  # as above
    httpd.shutdown()
    httpd.server_close()
    thread.join()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""

    def do_GET(self) -> None:
        state: Server = self.server.state  # type: ignore[attr-defined]  # set by the fixture
        path, wanted = self.path.strip("/"), self.headers["Range"]
        state.requests.append((path, wanted))
        offset = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and path != "no-range" else 0
        if path == "missing":
            self.send_error(404)
        elif path == "silent":
            time.sleep(0.5)
        elif path in ("ftp-redirect", "redirect"):
            self._head(302, {"Location": "ftp://127.0.0.1/x" if path == "ftp-redirect" else state.url("file")})
        elif offset >= len(CONTENT):
            self._head(416, {"Content-Range": f"bytes */{len(CONTENT)}"})
        else:
            self._send(state, path, offset)

    def _send(self, state: Server, path: str, offset: int) -> None:
        body = CONTENT[offset:]
        if path == "other":
            body = b"<html>another file</html>"
        shift = 1 if path == "shifted" else 0
        if offset:
            span = f"bytes {offset + shift}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self._head(206, {"Content-Range": span, "Content-Length": str(len(body))})
        else:
            self._head(200, {} if path == "no-length" else {"Content-Length": str(len(body))})
        if path == "trickle":
            with suppress(ConnectionError):  # the client is right to hang up
                for position in range(40):
                    self.wfile.write(body[position : position + 1])
                    time.sleep(0.02)
        elif path == "stall":
            self.wfile.write(body[:1000])
            time.sleep(0.5)
        else:
            cut, state.cut = state.cut, None
            self.wfile.write(body[:cut])

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.mark.parametrize("checksum", [MD5, SHA256, MD5.upper()])
@pytest.mark.parametrize("path", ["file", "no-length", "redirect"])
def test_download_gives_the_file(server: Server, tmp_path: Path, path: str, checksum: str) -> None:
    target = tmp_path / "new" / "file.bin"
    assert download([server.url(path)], target, checksum) == target
    assert target.read_bytes() == CONTENT
    assert not target.with_name("file.bin.part").exists()


def test_existing_file_is_kept_without_a_request(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"the user's own")
    download([server.url("file")], target, MD5)
    assert target.read_bytes() == b"the user's own"
    assert server.requests == []


def test_cut_transfer_is_resumed(server: Server, tmp_path: Path) -> None:
    server.cut = 300_000
    target = tmp_path / "file.bin"
    download([server.url("file")], target, MD5)
    assert target.read_bytes() == CONTENT
    assert server.requests == [("file", None), ("file", "bytes=300000-")]


@pytest.mark.parametrize("path", ["no-range", "shifted"])
def test_server_that_cannot_resume_starts_again(server: Server, tmp_path: Path, path: str) -> None:
    server.cut = 300_000
    target = tmp_path / "file.bin"
    download([server.url(path)], target, MD5)
    assert target.read_bytes() == CONTENT


def test_cut_without_length_is_found_by_the_checksum(server: Server, tmp_path: Path) -> None:
    server.cut = 1000
    download([server.url("no-length"), server.url("file")], tmp_path / "file.bin", MD5)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == [("no-length", None), ("file", None)]


@pytest.mark.parametrize("size", [1, 4000, len(CONTENT) - 1, len(CONTENT)])
def test_part_of_an_earlier_call_is_resumed(server: Server, tmp_path: Path, size: int) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT[:size])
    download([server.url("file")], tmp_path / "file.bin", MD5)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == [("file", f"bytes={size}-")]


@pytest.mark.parametrize("size", [4000, len(CONTENT), len(CONTENT) + 5])
def test_part_of_another_file_is_dropped(server: Server, tmp_path: Path, size: int) -> None:
    (tmp_path / "file.bin.part").write_bytes(bytes(size))
    download([server.url("file")], tmp_path / "file.bin", MD5)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == [("file", f"bytes={size}-"), ("file", None)]


def test_mirrors_are_tried_in_order(server: Server, tmp_path: Path) -> None:
    urls = [server.url(path) for path in ("missing", "other", "ftp-redirect", "file", "never")]
    download(urls, tmp_path / "file.bin", MD5)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["missing", "other", "ftp-redirect", "file"]


def test_second_mirror_goes_on_where_the_first_broke_off(server: Server, tmp_path: Path) -> None:
    server.cut = 300_000
    download([server.url("first"), server.url("second")], tmp_path / "file.bin", MD5, attempts=1)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.requests == [("first", None), ("second", "bytes=300000-")]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("silent", "no answer within 0.2 s"),
        ("ftp-redirect", "ftp"),
        ("other", "sent another file (25 bytes, md5 "),
        ("stall", "broke off after 1000 bytes (timed out)"),
        ("trickle", "sent only "),
    ],
)
def test_error_names_address_reason_and_remedy(server: Server, tmp_path: Path, path: str, reason: str) -> None:
    target = tmp_path / "file.bin"
    url = server.url(path)
    with pytest.raises(DownloadError, match=re.escape(f"{url}: ")) as caught:
        download([url], target, MD5, timeout=0.2, attempts=1)
    message = str(caught.value)
    assert reason in message
    assert f"put the file at {target} by hand" in message
    assert MD5.removeprefix("md5:") in message
    assert not target.exists()


def test_error_lists_every_address(server: Server, tmp_path: Path) -> None:
    urls = [server.url("missing"), "http://127.0.0.1:9/refused", server.url("other")]
    with pytest.raises(DownloadError) as caught:
        download(urls, tmp_path / "file.bin", MD5)
    assert all(f"\n  {url}: " in str(caught.value) for url in urls)


def test_slow_but_steady_server_is_borne(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontasks.data.download.transfer._SLOWEST", 1)
    with pytest.raises(DownloadError, match="broke off after 40 of"):  # all that it had, over several time-outs
        download([server.url("trickle")], tmp_path / "file.bin", MD5, timeout=0.2, attempts=1)


def test_attempts_are_bounded(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="broke off"):
        download([server.url("stall")], tmp_path / "file.bin", MD5, timeout=0.1, attempts=2)
    assert len(server.requests) == 2
    assert (tmp_path / "file.bin.part").stat().st_size == 2000


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/a/path", ""])
def test_only_http(tmp_path: Path, url: str) -> None:
    with pytest.raises(ArgumentError, match=r"http:// or https://"):
        download([url], tmp_path / "file.bin", MD5)
    with pytest.raises(ArgumentError, match="at least one address"):
        download([], tmp_path / "file.bin", MD5)


@pytest.mark.parametrize("checksum", ["", "0123", "crc32:0123", "md5:"])
def test_checksum_must_name_its_algorithm(tmp_path: Path, checksum: str) -> None:
    with pytest.raises(ArgumentError, match="expected 'md5:"):
        download(["http://127.0.0.1/x"], tmp_path / "file.bin", checksum)


def test_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file in the way")
    with pytest.raises(DownloadError, match="could not be written"):
        download([server.url("file")], tmp_path / "folder" / "file.bin", MD5)
    assert server.requests == []


def test_one_of_several_downloads_and_the_others_wait(server: Server, tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    with ThreadPool(4) as pool:
        found = pool.map(lambda _: download([server.url("file")], target, MD5), range(4))
    assert found == [target] * 4
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_wait_for_another_process_is_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontasks.data.download.transfer._LOCK_WAIT", 0.01)
    with FileLock(tmp_path / ".download.lock"), pytest.raises(DownloadError, match="Wait until it is done; if there"):
        download([server.url("file")], tmp_path / "file.bin", MD5)
    assert server.requests == []


def test_no_progress_bar_without_a_terminal(server: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    download([server.url("file")], tmp_path / "file.bin", MD5)
    assert capfd.readouterr() == ("", "")
