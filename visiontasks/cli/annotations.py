"""The quick part of ``visiontasks check``, which ``fit`` runs first."""

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from visiontasks.data.base import VisionDataModule
from visiontasks.data.datamodules.files import FileDataModule
from visiontasks.data.index.problems import count_kinds


@rank_zero_only
def check_annotations(data: VisionDataModule) -> None:
    """Read the annotations to train and validate on, and say in one line what was dropped or changed.

    Raises:
        DataError: If they have errors; the message counts them and lists the first ten.
    """
    if not isinstance(data, FileDataModule):
        return
    train, val = data.splits["train"], data.splits["val"]
    problems = [*train.problems, *(problem for problem in val.problems if problem not in train.problems)]
    kinds = [f"{count} x {kind}" for kind, count in count_kinds(problems).items()]
    found = f"; {', '.join(kinds)} (visiontasks check lists them)" if kinds else ""
    print(f"Annotations: {len(train.index)} training and {len(val.index)} validation images{found}.")
