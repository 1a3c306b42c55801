"""``visiontasks predict``: image files with a checkpoint."""

import argparse
import csv
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from visiontasks.cli.predict_masks import add_options, predict_masks
from visiontasks.errors import ArgumentError
from visiontasks.prediction import Predictor, find_files, find_task, import_class
from visiontasks.tasks.base import Task
from visiontasks.tasks.checkpoint import read_checkpoint
from visiontasks.tasks.localization import LocalizationTask
from visiontasks.tasks.segmentation import SegmentationTask


def main(command: str, arguments: Sequence[str]) -> int:
    """Write class and score of image files as CSV, in localization the box as well; with a segmentation their masks.

    Several classes are separated by semicolons. Boxes are in pixels of the file.

    Args:
        command: ``"predict"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0 when every file was predicted, 1 when some could not be read.
    """
    parser = argparse.ArgumentParser(
        prog=f"visiontasks {command}", description="Predict image files with a checkpoint."
    )
    parser.add_argument(
        "checkpoint", type=Path, help="a checkpoint; it holds class names, normalisation and image size"
    )
    parser.add_argument("sources", nargs="+", metavar="source", help="image files, folders (in depth) or glob patterns")
    parser.add_argument(
        "-o", "--output", type=Path, help="CSV file to write, the terminal by default; segmentation: a folder"
    )
    parser.add_argument("--batch_size", type=int, default=64, help="images computed at once (default: 64)")
    parser.add_argument("--task", metavar="CLASS", help="import path of a task of your own, such as my_module.MyTask")
    parser.add_argument("--device", help="such as cpu or cuda:0; a GPU by default if there is one")
    add_options(parser)
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        message = f"--batch_size is {options.batch_size}; expected at least 1."
        raise ArgumentError(message)
    owner = None if options.task is None else import_class(options.task)
    if owner is not None and not issubclass(owner, Task):
        message = f"--task {options.task} is no subclass of visiontasks.Task."
        raise ArgumentError(message)
    owner = owner or find_task(read_checkpoint(options.checkpoint), options.checkpoint)
    if issubclass(owner, SegmentationTask):
        return predict_masks(owner.load_from_checkpoint(options.checkpoint), options)
    predictor = Predictor.from_checkpoint(options.checkpoint, owner, options.device)
    files = find_files(options.sources)
    failed = 0
    # Names of files may be no UTF-8; they are written byte by byte as they are.
    how: dict[str, Any] = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    with nullcontext(sys.stdout) if options.output is None else options.output.open("w", **how) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        corners = ["xmin", "ymin", "xmax", "ymax"] if isinstance(predictor.task, LocalizationTask) else []
        writer.writerow(["file", "label", "class", "score", *corners])
        for prediction in predictor.predict(files, options.batch_size):
            if prediction.error is not None:
                failed += 1
                print(f"skipped: {prediction.error}", file=sys.stderr)
            else:
                columns = (prediction.labels, prediction.class_names, (f"{score:.6f}" for score in prediction.scores))
                box = [f"{corner:.2f}" for corner in prediction.box or ()]
                writer.writerow([prediction.file, *(";".join(map(str, column)) for column in columns), *box])
    print(f"{len(files) - failed} of {len(files)} files predicted.", file=sys.stderr)
    return 1 if failed else 0
