"""``visiontasks export``: a checkpoint as a file that runs without this library."""

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from visiontasks.cli.model_flags import HELP, take_model_flags
from visiontasks.cli.sides import both_sides
from visiontasks.garbage import without_garbage_collection
from visiontasks.runs import resolve_checkpoint


def main(command: str, arguments: Sequence[str]) -> int:
    """Write a checkpoint as ONNX or as a torch.export program, after checking that it computes the same.

    Args:
        command: ``"export"``.
        arguments: The command line after it.

    Returns:
        The exit code: 0, or 1 for a detector that found nothing in the images, so that no box was compared.

    Raises:
        VisiontasksError: If the checkpoint cannot be exported; then no file is written.
    """
    flags, arguments = take_model_flags(arguments)
    parser = argparse.ArgumentParser(
        prog=f"visiontasks {command}",
        epilog=HELP,
        description="Write a checkpoint as a file that takes uint8 images and gives named results without this "
        "library. It is compared with the checkpoint on images, and not written if it differs.",
    )
    parser.add_argument("checkpoint", help="a checkpoint, or the folder of a run")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        help=".onnx or .pt2 (torch.export) file to write; NAME.onnx in this folder by default",
    )
    parser.add_argument(
        "--image_size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="size of the images; as trained by default",
    )
    parser.add_argument(
        "--images", nargs="+", metavar="SOURCE", default=[], help="images to compare on; generated ones by default"
    )
    parser.add_argument("--task", metavar="CLASS", help="import path of a task of your own, such as my_module.MyTask")
    parser.add_argument("--config", type=Path, help="configuration of the training, for instances of your own classes")
    options = parser.parse_args(both_sides(arguments, "--image_size"))
    with without_garbage_collection():
        from visiontasks.cli.checkpoint_task import load_named
        from visiontasks.export import export_task
        from visiontasks.prediction import find_files
        from visiontasks.tasks.task import Task
    checkpoint = resolve_checkpoint(options.checkpoint)
    task = load_named(checkpoint, Task, options.task, flags, options.config)  # type: ignore[type-abstract]  # a subclass
    size = None if options.image_size is None else (options.image_size[0], options.image_size[1])
    target = options.output or Path(Path(checkpoint).with_suffix(".onnx").name)
    done = export_task(task, target, size, find_files(options.images))
    shape = ["batch", done.metadata["in_channels"], *done.metadata["image_size"]]
    print(f"{done.file}: {done.metadata['task']}, {done.file.stat().st_size / 2**20:.1f} MiB")
    print(f"takes {', '.join(done.metadata['inputs'])}: uint8 [{', '.join(map(str, shape))}]")
    if done.metadata["scale"] != 1:
        print(f"sees them at {done.metadata['scale']:g} of their size, to which it resizes them itself, as in training")
    print(f"gives {', '.join(done.metadata['outputs'])}")
    if math.isnan(done.differences.get("labels", 0.0)):
        print("nothing was found in these images, so that no box was compared: give others by --images")
        return 1
    differences = ", ".join(f"{name} {difference:.2g}" for name, difference in done.differences.items())
    print(f"largest differences from the checkpoint: {differences}")
    return 0
