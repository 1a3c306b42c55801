"""Whole archives, from a local server into a folder."""

import functools
import hashlib
import io
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from visiontasks import VOCDataModule
from visiontasks.data.download import public
from visiontasks.data.download.archive import extract_archive
from visiontasks.data.download.public import Archive, download_archives
from visiontasks.errors import DataError, DownloadError

FILES = {"set/a.txt": b"first", "set/deeper/b.txt": b"second" * 1000}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve ``tmp_path/served``."""
    monkeypatch.setenv("no_proxy", "*")
    (tmp_path / "served").mkdir()
    handler = functools.partial(_Quiet, directory=str(tmp_path / "served"))
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def write_tar(file: Path, files: dict[str, bytes], link: str | None = None) -> Path:
    with tarfile.open(file, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link is not None:
            info = tarfile.TarInfo("set/link")
            info.type, info.linkname = tarfile.SYMTYPE, link
            archive.addfile(info)
    return file


def write_zip(file: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file


def checksum(file: Path) -> str:
    return f"md5:{hashlib.md5(file.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_an_archive_is_unpacked_once_and_goes(write: object, tmp_path: Path) -> None:
    assert callable(write)
    archive, done = write(tmp_path / "set.archive", FILES), tmp_path / ".done"
    (tmp_path / "out" / "set").mkdir(parents=True)
    (tmp_path / "out" / "set" / "a.txt").write_bytes(b"half")  # what an interrupted call has left
    extract_archive(archive, tmp_path / "out", done)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in FILES} == FILES
    assert done.exists()
    assert not archive.exists()


BAD = {"../outside.txt": b"x", "/absolute.txt": b"x"}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_an_archive_that_would_write_elsewhere_is_refused(write: object, name: str, tmp_path: Path) -> None:
    assert callable(write)
    archive = write(tmp_path / "bad", {**FILES, name: b"x"})
    with pytest.raises(DataError, match="is refused; expected a plain file below the archive's own root"):
        extract_archive(archive, tmp_path / "out", tmp_path / ".done")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "outside.txt").exists()


def test_links_are_refused_and_damage_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="member 'set/link' is refused"):
        extract_archive(write_tar(tmp_path / "l.tar", FILES, "/etc/passwd"), tmp_path / "out", tmp_path / ".done")
    (tmp_path / "x.zip").write_bytes(b"PK no archive")
    with pytest.raises(DataError, match=r"x\.zip is damaged or not a tar or zip archive"):
        extract_archive(tmp_path / "x.zip", tmp_path / "out", tmp_path / ".done")


def test_mirrors_are_asked_first_and_nothing_is_fetched_twice(server: str, tmp_path: Path) -> None:
    file = write_tar(tmp_path / "served" / "set.tar", FILES)
    archive = Archive("http://127.0.0.1:9", "set.tar", checksum(file))
    download_archives([archive], tmp_path / "root", [f"{server}/gone", server])
    assert (tmp_path / "root" / "set" / "a.txt").read_bytes() == b"first"
    file.unlink()
    download_archives([archive], tmp_path / "root", [server])
    with pytest.raises(DownloadError, match=r"set\.tar could not be downloaded"):
        download_archives([archive], tmp_path / "other", [server])


def test_voc_downloads_when_asked_and_only_then(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))
    folder = "VOCdevkit/VOC2012"
    xml = (
        b"<annotation><object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    )
    files = {f"{folder}/ImageSets/Main/{name}.txt": name.encode() for name in ("train", "val")}
    for name in ("train", "val"):
        files[f"{folder}/Annotations/{name}.xml"] = xml + b"</object></annotation>"
        files[f"{folder}/JPEGImages/{name}.jpg"] = b"x"
    file = write_tar(tmp_path / "served" / "voc.tar", files)
    monkeypatch.setitem(public.VOC, "2012", (Archive("http://127.0.0.1:9", "voc.tar", checksum(file)),))
    with pytest.raises(DataError, match="does not exist"):
        _ = VOCDataModule(tmp_path / "voc").class_names
    data = VOCDataModule(tmp_path / "voc", download=True, mirrors=[server])
    assert data.class_names[11] == "dog"
    assert [len(data.splits[split].index) for split in ("train", "val")] == [1, 1]
