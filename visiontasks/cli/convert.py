"""``visiontasks convert``: a data set in the form of YOLO, COCO, VOC or a table."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

from visiontasks.cli.data import parse_data
from visiontasks.cli.parser import Parser
from visiontasks.data.converting.convert import FORMATS, IMAGES, Conversion, convert
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.index.problems import count_kinds
from visiontasks.errors import ArgumentError


def main(command: str, arguments: Sequence[str]) -> int:
    """Convert a data set, and print what was written, what was left out, and how to read the result.

    Args:
        command: ``"convert"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0, or 1 if something was dropped, left out or changed.

    Raises:
        ArgumentError: If the data are not in files, or an option is wrong.
    """
    description = "Write a data set in the form of YOLO, COCO, VOC or a table, with all its splits."
    data, options = parse_data(command, description, arguments, _add_options)
    if not isinstance(data, FileData):
        message = f"{type(data).__name__} has no annotations in files; convert is for data modules of files."
        raise ArgumentError(message)
    done = convert(data, options.format, options.output, options.images)
    counts = ", ".join(f"{count} {split}" for split, count in done.images.items())
    print(f"Written to {str(options.output)!r}: {counts} images.")
    if options.images == "none":
        print(f"Put the images into {str(done.images_folder)!r}.")
    problems = dict.fromkeys(problem for split in done.images for problem in data.splits[split].problems)
    for kind, count in count_kinds(list(problems)).items():
        print(f"not read: {count} x {kind} (visiontasks check lists them)")
    for kind, count in done.omitted.items():
        print(f"not in the form of {options.format}: {count} x {kind}")
    print(f"Read it by {_flags(done)}")
    return int(bool(problems or done.omitted))


def _add_options(parser: Parser) -> None:
    parser.add_argument("--format", choices=FORMATS, required=True, help="form to write")
    parser.add_argument("--output", type=Path, required=True, help="folder to write, new or empty")
    parser.add_argument(
        "--images",
        choices=IMAGES,
        default="copy",
        help="copy the files, link them, or leave them (default: copy)",
    )


def _flags(done: Conversion) -> str:
    words = []
    for name, value in done.options.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        words += ["--data" if name == "data" else f"--data.{name}", shlex.quote(text)]
    return " ".join(words)
