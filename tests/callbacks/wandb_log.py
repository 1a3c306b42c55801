"""What the client of Weights & Biases has written offline, read by its protocol."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wandb
from wandb.proto import wandb_internal_pb2 as protocol

_BLOCK, _HEAD = 32 * 1024, 7
_WHOLE, _LAST = 1, 4


class Log(NamedTuple):
    """A run: its number, project, name, group, tags, configuration, and what was logged, in order."""

    number: str
    project: str
    name: str
    group: str
    tags: list[str]
    config: dict[str, Any]
    history: list[dict[str, Any]]
    folder: Path

    def last(self, key: str) -> Any:  # noqa: ANN401 - of any type
        """Return the last value of a key."""
        return [row[key] for row in self.history if key in row][-1]


def no_account(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Take away what a machine may know of an account, and end the client's own process, which knows it, too."""
    wandb.teardown()
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_INIT_TIMEOUT", "NETRC"):
        patch.setenv(name, "")  # so that what a test sets is taken back
        patch.delenv(name)
    patch.setenv("HOME", str(folder))
    patch.setenv("WANDB_CONFIG_DIR", str(folder / "config"))
    patch.setenv("WANDB_CACHE_DIR", str(folder / "cache"))


def read_logs(folder: Path) -> list[Log]:
    """Read the runs below a folder, in the order in which they began, once the client's process has written all."""
    wandb.teardown()
    return [read_log(file) for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def read_log(file: Path) -> Log:
    """Read the file of a run."""
    config: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    about: Any = None
    for record in _records(file):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            about = record.run
            config |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif kind == "config":
            config |= {item.key: json.loads(item.value_json) for item in record.config.update if item.key}
        elif kind == "history":
            row: dict[str, Any] = {}
            for item in record.history.item:
                *parents, leaf = item.nested_key or [item.key]
                place = row
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[leaf] = json.loads(item.value_json)
            history.append(row)
    tags = list(about.tags)
    return Log(
        about.run_id, about.project, about.display_name, about.run_group, tags, config, history, file.parent / "files"
    )


def _records(file: Path) -> Iterator[Any]:
    """Read the records: LevelDB's log format, whose records lie in blocks of 32 KiB, behind a header of 7 bytes."""
    content = file.read_bytes()
    assert content.startswith(b":W&B")
    place, parts = _HEAD, b""
    while place + _HEAD <= len(content):
        left = _BLOCK - place % _BLOCK
        if left < _HEAD:
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        parts += content[place + _HEAD : place + _HEAD + size]
        place += _HEAD + size
        if kind in (_WHOLE, _LAST):
            record = protocol.Record()  # type: ignore[attr-defined]  # made at import
            record.ParseFromString(parts)
            yield record
            parts = b""
