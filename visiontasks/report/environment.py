"""Environment of a run: command, versions, hardware."""

import json
import platform
import shlex
import sys
from collections.abc import Sized
from dataclasses import asdict, dataclass, field
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from visiontasks.errors import DataError
from visiontasks.files import write_atomically
from visiontasks.import_paths import import_path

FILE = "environment.json"
"""Name of the file in the run folder that keeps it."""

_PACKAGES = (
    "visiontasks",
    "torch",
    "torchvision",
    "lightning",
    "torchmetrics",
    "numpy",
    "albumentations",
    "opencv-python-headless",
    "timm",
)


@dataclass(frozen=True)
class Environment:
    """Environment of a run.

    Attributes:
        command: The command line, in a form that can be repeated.
        time: Start time, with the time zone.
        task: Import path of the task's class; empty if unknown.
        data: Import path of the data module's class; empty if unknown.
        images: Number of images in each split that was loaded.
        versions: Versions of Python, the system and the relevant packages.
    """

    command: str
    time: str
    task: str = ""
    data: str = ""
    images: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of_now(cls, command: str | None = None, task: object = None, data: object = None) -> Self:
        """Describe this process.

        Args:
            command: The command line; by default that with which Python was started.
            task: The task.
            data: The data module.
        """
        versions = {"Python": platform.python_version(), "system": platform.platform()}
        for name in _PACKAGES:
            try:
                versions[name] = version(name)
            except PackageNotFoundError:
                continue
        owner, source = ("" if one is None else import_path(type(one)) for one in (task, data))
        sets = {name: getattr(data, f"{name}_set", None) for name in ("train", "val", "test")}
        images = {name: len(part) for name, part in sets.items() if isinstance(part, Sized)}
        time = datetime.now().astimezone().isoformat(" ", "seconds")
        return cls(command or shlex.join(["python", *sys.argv]), time, owner, source, images, versions)

    def write(self, folder: Path) -> None:
        """Write it into a run folder.

        Raises:
            OSError: If the file cannot be written.
        """
        write_atomically(folder / FILE, json.dumps(asdict(self), indent=2) + "\n")


def read_environment(folder: Path) -> Environment | None:
    """Read the environment of a run from its folder; None if it was not saved.

    Raises:
        DataError: If the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        return Environment(**json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        message = f"{str(file)!r} is damaged: {error}. Delete it; the report then goes without what it held."
        raise DataError(message) from error
