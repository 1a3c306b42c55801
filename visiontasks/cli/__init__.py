"""The command line: a table of subcommands, each imported only when called.

Nothing heavy is imported here, so that ``visiontasks --help`` is fast.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path

from visiontasks import __version__
from visiontasks.cli.failures import run_to_exit_code, without_debug
from visiontasks.errors import near_matches
from visiontasks.garbage import without_garbage_collection

COMMANDS = {
    "fit": ("visiontasks.cli.training", "Train a task on a data set; every option by flag or YAML."),
    "validate": ("visiontasks.cli.training", "Score a checkpoint on the validation split."),
    "test": ("visiontasks.cli.training", "Score a checkpoint on the test split."),
    "tune": ("visiontasks.cli.tune", "Find a learning rate and a batch size for a training."),
    "report": ("visiontasks.cli.report", "Write the page of a run that was trained before."),
    "check": ("visiontasks.cli.check", "Validate a data set before training."),
    "show": ("visiontasks.cli.show", "Draw samples of a data set as the model gets them."),
    "convert": ("visiontasks.cli.convert", "Write a data set in the form of YOLO, COCO, VOC or a table."),
    "propose": ("visiontasks.cli.propose", "Propose boxes for the images of a data set, for Fast R-CNN."),
    "backbones": ("visiontasks.cli.backbones", "List the backbones, or draw the feature maps of one."),
    "recipes": ("visiontasks.cli.recipes", "List the recipes with their measured results, or copy one."),
    "embed": ("visiontasks.cli.embed", "Encode images with any trained network; find the nearest ones."),
    "predict": ("visiontasks.cli.predict", "Predict image files with a checkpoint."),
    "export": ("visiontasks.cli.export", "Write a checkpoint as ONNX, or as a program of torch.export."),
}
_MEANT = {
    "train": "fit",
    "val": "validate",
    "eval": "test",
    "evaluate": "test",
    "infer": "predict",
    "detect": "fit --model DetectionTask",
    "segment": "fit --model InstanceSegmentationTask",
    "classify": "fit --model ClassificationTask",
}
"""Commands of other libraries, and what they are here."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: The command line without the program's name; by default that of the process.

    Returns:
        The exit code: 0 for success, 1 for warnings and skipped files, 2 for an error in the user's input or if the
        machine lacks room, memory or a permission, 130 if the user interrupts the command.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # file names may contain characters that cannot be encoded
        sys.stdout.reconfigure(errors="backslashreplace")
    words, debug = without_debug(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] in ("-V", "--version"):
        print(f"visiontasks {__version__}")
        return 0
    command = words[0]
    if command not in COMMANDS:
        meant = f"Did you mean '{_MEANT[command]}'?" if command in _MEANT else near_matches(command, COMMANDS)
        print(f"error: there is no command {command!r}. {meant}", file=sys.stderr)
        return 2
    # Custom classes, given by their import path, are found in the folder where the command is called. By its path:
    # while a YAML is parsed, "" is the folder of that.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)

    def run() -> int:
        with without_garbage_collection():
            module = import_module(COMMANDS[command][0])
        return int(module.main(command, words[1:]))

    return run_to_exit_code(run, debug)


def _help() -> str:
    commands = "\n".join(f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items())
    return (
        "usage: visiontasks COMMAND ...\n\nTrain vision tasks with interchangeable backbones.\n\n"
        f"commands:\n{commands}\n\n'visiontasks COMMAND --help' lists the options of a command; with --debug, in any\n"
        "place, an error has its traceback. For example:\n"
        "  visiontasks fit --trainer.max_epochs 5\n"
        "  visiontasks fit --data MNISTDataModule --data.root FOLDER --model.normalization dataset\n"
        "  visiontasks predict CHECKPOINT image.png"
    )
