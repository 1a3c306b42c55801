"""The image files of a split of a data set, for a command that takes images."""

from collections.abc import Sequence
from pathlib import Path

from visiontasks.errors import ArgumentError


def without_data_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take the flags of a data set (``--data``, ``--data.NAME``), each with its value, out of a line.

    Returns:
        The other words, and those flags.

    Example:
        >>> without_data_flags(["best.ckpt", "--data", "FolderDataModule", "--data.root=photos", "--split", "val"])
        (['best.ckpt', '--split', 'val'], ['--data', 'FolderDataModule', '--data.root=photos'])
    """
    others: list[str] = []
    flags: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, _ = word.partition("=")
        if name == "--data" or name.startswith("--data."):
            flags += [word] if equals else [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            others.append(word)
    return others, flags


def files_of_split(command: str, flags: Sequence[str], split: str, checkpoint: str) -> list[Path]:
    """List the image files of a split.

    Args:
        command: Name of the command, for messages.
        flags: Flags of the data set; without any, it is that of the run which a checkpoint lies in.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        checkpoint: The checkpoint.

    Raises:
        ArgumentError: If a flag is wrong, or the images are not in files.
        DataError: If the data have errors.
    """
    # Imported here because it takes seconds that a prediction of files need not wait for.
    import json

    from visiontasks.cli.data import parse_data
    from visiontasks.cli.run_data import data_of_checkpoint
    from visiontasks.data.datamodules.file_data import FileData
    from visiontasks.runs import resolve_checkpoint

    words = list(flags)
    if "--data" not in (word.partition("=")[0] for word in words):
        words = [f"--data={json.dumps(data_of_checkpoint(resolve_checkpoint(checkpoint)))}", *words]
    data, _ = parse_data(command, "", words, lambda _: None)
    if not isinstance(data, FileData):
        message = f"{type(data).__name__} has its images in memory; {command} takes images in files."
        raise ArgumentError(message)
    if split == "all":
        data.splits.score(split)
    index = data.splits["test" if split == "all" else split].index
    return [index.file(image) for image in range(len(index))]
