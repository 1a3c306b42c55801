"""Scoring of a checkpoint on the command line: which images, and what the data take over from it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lightning.pytorch.cli import LightningArgumentParser

from visiontasks.cli.run_data import data_of_checkpoint
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.scoring import ScoredSplit
from visiontasks.data.vision_data import VisionData
from visiontasks.errors import ArgumentError
from visiontasks.prediction import match_data
from visiontasks.tasks.reading import read_checkpoint
from visiontasks.tasks.record import RECORD, adopt_description
from visiontasks.tasks.task import Task


def add_split_flag(parser: LightningArgumentParser) -> None:
    """Add the flag that chooses the images."""
    text = (
        "Images to score: those of a split, or all. By default those of the split that the command is called after; of "
        "data without splits all, unless the checkpoint was trained on them."
    )
    parser.add_argument("--split", type=ScoredSplit | None, default=None, help=text)


def match_checkpoint(
    data: VisionData, task: Task, checkpoint: str | Path, split: ScoredSplit | None, arguments: Sequence[str] = ()
) -> None:
    """Let the data take over what a checkpoint knows, before the Trainer restores the weights.

    Args:
        data: The data, changed in place.
        task: The task of the checkpoint, without its weights; it takes over what the checkpoint knows as well.
        checkpoint: The checkpoint, which the next reading takes over.
        split: Which images are scored.
        arguments: The command line.

    Raises:
        ArgumentError: If it asks for a size that would have no effect.
    """
    asked = {word.partition("=")[0] for word in arguments} & {"--data.image_size", "--data.scale"}
    size = data.image_size if "--data.image_size" in asked else None
    record = read_checkpoint(checkpoint, keep=True).get(RECORD, {})
    if "root" not in record:  # in a checkpoint of an earlier release
        with suppress(ArgumentError):
            root = data_of_checkpoint(checkpoint).get("init_args", {}).get("root")
            record = record | {"root": root and str(Path(root).resolve())}
    adopt_description(task, record)
    match_data(data, task, split)
    if isinstance(data, FileData) and data.task == "segmentation" and asked:
        message = (
            f"{min(asked)} is given, but segmentation is scored on whole images, at the scale of the training. Leave "
            "it out; --model.test_time_scales '[0.5]' sees them at half of that."
        )
        raise ArgumentError(message)
    if size is not None and data.image_size != size:
        message = (
            f"--data.image_size is given, but {type(data).__name__} makes images of the size that the checkpoint was "
            "trained on. Leave it out."
        )
        raise ArgumentError(message)
