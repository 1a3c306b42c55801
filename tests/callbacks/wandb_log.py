"""What the client of Weights & Biases has written offline, read by its own classes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wandb
from wandb.proto import wandb_internal_pb2 as protocol
from wandb.sdk.internal.datastore import DataStore


class Log(NamedTuple):
    """A run: its number, project, tags, configuration, and what was logged, in order."""

    number: str
    project: str
    name: str
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
    return Log(about.run_id, about.project, about.display_name, tags, config, history, file.parent / "files")


def _records(file: Path) -> Iterator[Any]:
    store = DataStore()
    store.open_for_scan(str(file))  # type: ignore[no-untyped-call]  # without annotations
    while (data := store.scan_data()) is not None:  # type: ignore[no-untyped-call]  # as above
        record = protocol.Record()  # type: ignore[attr-defined]  # made at import
        record.ParseFromString(data)
        yield record
    store.close()
