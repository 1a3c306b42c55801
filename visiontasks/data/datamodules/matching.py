"""What data in files take over from a checkpoint that is scored on them."""

from typing import TYPE_CHECKING

from visiontasks.data.datamodules.splits import ALL
from visiontasks.data.scoring import ScoredSplit, Trained
from visiontasks.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from visiontasks.data.datamodules.file_data import FileData


def match_files(data: "FileData", trained: Trained, split: ScoredSplit | None) -> None:
    """Find the classes of the annotations among those of a checkpoint, and choose the images to score.

    Args:
        data: The data, before any of them are read.
        trained: What the checkpoint knows.
        split: What validation and test see; None for all images of data that have no splits, unless the task was
            trained on them, and otherwise for the split of that name.

    Raises:
        ArgumentError: If annotations of this kind cannot have the classes.
        DataError: If masks have a class that the checkpoint does not know. Of other annotations, that is found when
            they are read.
    """
    data.in_channels = trained.in_channels
    if trained.class_names is not None:
        _match_classes(data, trained.class_names)
    if split is None and data.splits.undivided and trained.root != str(data.root.resolve()):
        split = ALL
    if split is not None:
        data.splits.score(split)


def _match_classes(data: "FileData", class_names: tuple[str, ...]) -> None:
    values = data.values_of_masks()
    if values is not None:
        try:
            data.mask_values = values.of_classes(class_names)
        except DataError as error:
            message = f"{str(data.root)!r}: {error}"
            raise DataError(message) from error
        return
    around = data.pixel_classes(())
    if class_names[: len(around)] != around:
        message = f"Pixels without an object are 'background', which is not the first of {', '.join(class_names)}."
        raise ArgumentError(message)
    data.splits.name_classes(class_names[len(around) :])
