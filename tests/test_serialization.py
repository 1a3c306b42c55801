import io
import os
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch

from tests.addresses import web_server
from visiontasks.errors import CheckpointError
from visiontasks.serialization import load_file, name_of, open_source, read_values

SAVED: dict[str, Any] = {"a": torch.arange(5000.0), "b": [1, "two"], "c": torch.rand(3, 4)}


class Mark:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    torch.save(SAVED, tmp_path / "file.pt")
    return tmp_path / "file.pt"


def check(loaded: Any) -> None:  # noqa: ANN401 - whatever was read
    assert torch.equal(loaded["a"], SAVED["a"])
    assert torch.equal(loaded["c"], SAVED["c"])
    assert loaded["b"] == SAVED["b"]


def test_local_files_and_file_objects_are_read(file: Path) -> None:
    check(load_file(file))
    check(load_file(str(file)))
    check(load_file(f"file://{file}"))
    with file.open("rb") as opened:
        opened.seek(7)
        check(load_file(opened))
        assert not opened.closed
    check(load_file(io.BytesIO(file.read_bytes())))


def test_a_file_object_is_read_from_its_start(file: Path) -> None:
    content = io.BytesIO()
    torch.save(SAVED, content, _use_new_zipfile_serialization=False)
    assert content.tell()
    check(load_file(content))
    with open_source(content) as opened:
        assert opened.read(1) == b"\x80"


def test_a_pipe_is_read(file: Path) -> None:
    content = io.BytesIO()
    torch.save(torch.ones(2), content)
    reading, writing = os.pipe()
    os.write(writing, content.getvalue())
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert torch.equal(load_file(pipe), torch.ones(2))


def test_remote_addresses_are_read_once(file: Path) -> None:
    fsspec.filesystem("memory").pipe("/serialization/file.pt", file.read_bytes())
    check(load_file("memory://serialization/file.pt"))
    with web_server(file.parent) as (address, asked):
        check(load_file(f"{address}/file.pt"))
        assert asked == ["/file.pt"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://serialization/gone.pt", "There is nothing at 'memory://serialization/gone.pt'"),
        ("nothing://file.pt", r"'nothing://file.pt' cannot be read \(ValueError: Protocol not known: nothing"),
        ("http://127.0.0.1:9/file.pt", r"cannot be read \(\w+: .*\)\. Check the address, the network"),
    ],
)
def test_an_address_that_cannot_be_read_is_an_error(address: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_file(address)


def test_a_package_that_is_missing_is_named() -> None:
    fsspec.register_implementation("lacking", "gone.FileSystem", clobber=True, errtxt="Install gonefs")
    with pytest.raises(CheckpointError, match=r"'lacking://bucket/a.pt' cannot be read: a package .*Install gonefs"):
        load_file("lacking://bucket/a.pt")


def test_a_local_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone.pt' cannot be read: No such file or directory"):
        load_file(tmp_path / "gone.pt")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        load_file(tmp_path)


def test_files_without_checksums_are_read(file: Path) -> None:
    torch.save(SAVED, file, _use_new_zipfile_serialization=False)
    check(load_file(file))
    before = torch.serialization.get_crc32_options()
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(SAVED, file)
    finally:
        torch.serialization.set_crc32_options(before)
    check(load_file(file))


def flip(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_each_flipped_bit_in_a_tensor_is_found_and_its_record_named(file: Path) -> None:
    whole = file.read_bytes()
    draw = random.Random(0)
    refused = 0
    with zipfile.ZipFile(file) as archive:
        tensors = {name: archive.read(name) for name in archive.namelist() if re.search(r"/data/\d+$", name)}
    assert len(tensors) == 2
    for _ in range(200):
        name, values = draw.choice(sorted(tensors.items()))
        bit = 8 * whole.index(values) + draw.randrange(8 * len(values))
        file.write_bytes(flip(whole, bit))
        with pytest.raises(CheckpointError, match=rf"file.pt' is damaged: the checksum of its record '{name}' does"):
            load_file(file)
        refused += 1
    assert refused == 200


def test_each_flipped_bit_anywhere_is_found_or_changes_nothing(file: Path) -> None:
    small = io.BytesIO()
    torch.save({"a": torch.arange(3.0), "b": "two"}, small)
    draw = random.Random(0)
    whole, refused = small.getvalue(), 0
    for bit in draw.sample(range(8 * len(whole)), 600):
        try:
            loaded = load_file(io.BytesIO(flip(whole, bit)))
        except CheckpointError:
            refused += 1
        else:
            assert torch.equal(loaded["a"], torch.arange(3.0))
            assert loaded["b"] == "two"
    assert refused > 100


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)), b"\x80", b"PK\x03\x04"])
def test_a_damaged_file_is_named(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"file.pt' is damaged or not a checkpoint \(\w+\)"):
        load_file(file)
    with pytest.raises(CheckpointError, match=r"file.pt' is damaged or not a checkpoint \(\w+\)"):
        read_values(file)


def test_a_file_that_holds_objects_is_refused(tmp_path: Path) -> None:
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "file.pt")
    with pytest.raises(CheckpointError, match=r"file.pt' holds torch.nn.modules.linear.Linear beside tensors"):
        load_file(tmp_path / "file.pt")


def test_no_address_runs_code(file: Path) -> None:
    mark = file.with_name("mark")
    torch.save(Mark(mark), file)
    fsspec.filesystem("memory").pipe("/serialization/mark.pt", file.read_bytes())
    with web_server(file.parent) as (address, _), file.open("rb") as opened:
        for source in (
            file,
            opened,
            io.BytesIO(file.read_bytes()),
            "memory://serialization/mark.pt",
            f"{address}/file.pt",
        ):
            with pytest.raises(CheckpointError, match=rf"{re.escape(name_of(source))}' holds \w+.system"):
                load_file(source)
    assert not mark.exists()


def test_values_are_read_without_the_tensors(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(flip(whole, 8 * whole.index(SAVED["a"].numpy().tobytes()) + 100))
    assert read_values(file)["b"] == [1, "two"]


def test_values_are_read_without_memory_for_the_tensors(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(16_000_000), "b": 1}, tmp_path / "large.pt")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    values = read_values(tmp_path / "large.pt")
    assert resident() - before < 16_000_000
    assert values["a"].numel() == 16_000_000


def test_memory_that_is_short_is_not_taken_for_damage(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(MemoryError):
        load_file(file)


def test_names() -> None:
    with open_source(io.BytesIO(b"x")) as opened:
        assert name_of(opened) == "BytesIO"
    fsspec.filesystem("memory").pipe("/serialization/name.pt", b"x")
    with open_source("memory://serialization/name.pt") as opened:
        assert name_of(opened) == "memory://serialization/name.pt"
    with Path(__file__).open("rb") as opened:
        assert name_of(opened) == __file__
