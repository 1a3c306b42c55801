"""Labelled data that a trained task is scored on, brought to what it was trained on."""

from typing import TypeVar

from visiontasks.data.scoring import ScoredSplit, Trained
from visiontasks.data.vision_data import VisionData
from visiontasks.tasks.task import Task
from visiontasks.tasks.views import evaluation_view

DataT = TypeVar("DataT", bound=VisionData)


def match_data(data: DataT, task: Task, split: ScoredSplit | None = None) -> DataT:
    """Let data take over what a task knows, to score it on them by ``Trainer.test`` or ``Trainer.validate``.

    Classes are matched by name: the data may have some of those of the task, in any order. Image size, channels,
    evaluation view and range of values are those of the training, unless they were given to the data module.

    Args:
        data: A data module that was not used yet; changed in place.
        task: A task with its weights, such as :func:`~visiontasks.prediction.load_task` returns.
        split: Which images are scored; by default those of the split of that name, and all images of data that have no
            splits, unless the task was trained on them.

    Returns:
        The data module.

    Raises:
        ArgumentError: If the data cannot have the classes of the task.
        DataError: If the data have a class that the task does not know, or are not found.

    Example:
        >>> from visiontasks import ClassificationTask, ShapesDataModule
        >>> task = ClassificationTask(4, ["circle", "square", "star", "triangle"], image_size=(32, 32))
        >>> data = match_data(ShapesDataModule(test_size=8), task)
        >>> data.class_names, data.image_size
        (('circle', 'square', 'star', 'triangle'), (32, 32))
    """
    names = None if task.num_classes is None or task.class_names is None else tuple(task.class_names)
    root = task._parts.preparation.root
    data.match(Trained(names, task.in_channels, evaluation_view(task), task.takes, root), split)
    return data
