"""Conversion of the small set of COCO's form."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.data.index.coco_writer import Content, small_set
from visiontasks import COCODataModule
from visiontasks.data.converting.convert import Conversion, convert


def write(source: Path, form: str, task: Any = "detection") -> tuple[Path, Conversion]:  # noqa: ANN401 (a task)
    folder = source.parent / form
    return folder, convert(COCODataModule(source, task), form, folder)


def change(source: Path, edit: Callable[[Content], object]) -> None:
    """Change the annotations of both splits."""
    for split in ("train", "val"):
        content = small_set()
        edit(content)
        (source / f"{split}.json").write_text(json.dumps(content))
