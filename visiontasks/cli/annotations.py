"""The quick part of ``visiontasks check``, which ``fit`` runs first."""

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from visiontasks.data.check import task_problems
from visiontasks.data.datamodules.file_data import FileData
from visiontasks.data.index.problems import Parsed, count_kinds
from visiontasks.data.vision_data import VisionData


@rank_zero_only
def check_annotations(data: VisionData, *, tests: bool = False) -> None:
    """Read the annotations for training and validation, and report in one line what was dropped or changed.

    Args:
        data: The data module.
        tests: Whether to read those of the test split as well, so that problems do not appear only after training.

    Raises:
        DataError: If they have errors, or the task cannot use them; the message gives their number and lists the first
            ten.
    """
    if not isinstance(data, FileData):
        return
    train, val = data.splits["train"], data.splits["val"]
    more = [val, data.splits["test"]] if tests else [val]
    # Splits of the same file share its problems.
    problems = list(dict.fromkeys(problem for split in (train, *more) for problem in split.problems))
    problems += task_problems(data, ["train", "val", *(["test"] if tests else [])])
    Parsed(train.index, problems).require()
    kinds = [f"{count} x {kind}" for kind, count in count_kinds(problems).items()]
    known = f"; {', '.join(kinds)} (visiontasks check lists them)" if kinds else ""
    counts = f"{len(train.index)} training and {len(val.index)} validation images"
    if tests:
        counts = f"{len(train.index)} training, {len(val.index)} validation and {len(more[-1].index)} test images"
    print(f"Data read: {counts}{known}.")
