import re
import stat
import zipfile
from pathlib import Path

import pytest

from visiontasks.data.download.archive import extract_members
from visiontasks.errors import DataError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive.zip"
    link = zipfile.ZipInfo("gzip/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("gzip/a.gz", b"a" * 100_000)
        file.writestr("gzip/b.gz", b"b")
        file.writestr("../evil", b"evil")
        file.writestr("/absolute", b"evil")
        file.writestr("gzip/..", b"evil")
        file.writestr(link, "/etc/passwd")
        file.mkdir("folder")
    return path


def test_only_named_members_are_extracted(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    assert extract_members(archive, ["gzip/b.gz", "gzip/a.gz"], folder) == [folder / "b.gz", folder / "a.gz"]
    assert (folder / "a.gz").read_bytes() == b"a" * 100_000
    assert {path.name for path in folder.iterdir()} == {"a.gz", "b.gz", ".download.lock"}


def test_extraction_keeps_what_exists(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "b.gz").write_bytes(b"own")
    extract_members(archive, ["gzip/b.gz"], tmp_path)
    assert (tmp_path / "b.gz").read_bytes() == b"own"


@pytest.mark.parametrize("member", ["../evil", "/absolute", "gzip/..", "gzip/link", "folder/"])
def test_unsafe_members_are_refused(archive: Path, tmp_path: Path, member: str) -> None:
    folder = tmp_path / "raw"
    with pytest.raises(DataError, match=re.escape(f"{archive}: member {member!r} is refused")):
        extract_members(archive, [member], folder)
    assert [path.name for path in folder.iterdir()] == [".download.lock"]
    assert not (tmp_path / "evil").exists()


def test_extraction_does_not_write_through_a_link(archive: Path, tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    (folder / "b.gz").symlink_to(tmp_path / "outside")
    extract_members(archive, ["gzip/b.gz"], folder)
    assert not (tmp_path / "outside").exists()
    assert (folder / "b.gz").read_bytes() == b"b"


def test_absent_member_and_damaged_archive(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no member 'gzip/c\.gz'"):
        extract_members(archive, ["gzip/c.gz"], tmp_path)
    content = bytearray(archive.read_bytes())
    content[60] ^= 0xFF  # in the compressed bytes of the first member
    archive.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        extract_members(archive, ["gzip/a.gz"], tmp_path)
    archive.write_bytes(content[:200])
    with pytest.raises(DataError, match="is damaged"):
        extract_members(archive, ["gzip/a.gz"], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".download.lock", "archive.zip"}
    with pytest.raises(DataError, match="could not be unpacked"):
        extract_members(tmp_path / "none.zip", ["gzip/a.gz"], tmp_path)
