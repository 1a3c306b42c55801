"""What figures are."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Trainer

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    InstanceSegmentationTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)
from visiontasks.cli.glossary import MEANINGS, explain
from visiontasks.tasks.task import Task

SMALL: dict[str, Any] = {"backbone_options": {"filters": (4, 4, 4), "depth": 1}}
TASKS: dict[str, Callable[[], Task]] = {
    "classification": lambda: ClassificationTask(4, **SMALL),
    "localization": lambda: LocalizationTask(4, **SMALL),
    "detection": lambda: DetectionTask(4, **SMALL, fpn_width=8, head_width=8),
    "instances": lambda: InstanceSegmentationTask(4, **SMALL, fpn_width=8, head_width=8, mask_widths=(8,)),
    "segmentation": lambda: SegmentationTask(5, **SMALL),
    "autoencoding": lambda: AutoencodingTask(8, image_size=32, **SMALL),
}


def test_what_is_explained_is_logged_and_what_chooses_the_best_epoch_is_explained(
    make_trainer: Callable[..., Trainer],
) -> None:
    logged = set()
    for kind, make in TASKS.items():
        data = ShapesDataModule(
            "classification" if kind == "autoencoding" else kind,  # type: ignore[arg-type]  # names of tasks
            train_size=8,
            val_size=8,
            image_size=(32, 32),
            batch_size=8,
            num_workers=0,
        )
        task, trainer = make(), make_trainer(max_epochs=1)
        trainer.fit(task, data)
        names = {*trainer.callback_metrics}
        assert task.monitor.partition("/")[2] in MEANINGS
        assert f"{task.monitor.partition('/')[2]}: " in str(explain(names))
        logged |= {name.partition("/")[2] for name in names}
    assert logged | {"accuracy_top5"} >= set(MEANINGS)  # which there is for more than five classes


def test_nothing_is_said_of_unknown_figures() -> None:
    assert explain(["val/mine"]) is None
    assert explain([]) is None
