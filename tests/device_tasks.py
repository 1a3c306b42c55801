"""All five tasks as small as they can be, and data for them, for tests on a GPU and on a pretended one."""

from collections.abc import Callable
from typing import Any

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)
from visiontasks.tasks.task import Task

SMALL: dict[str, Any] = {"backbone_options": {"filters": [8, 8, 8], "depth": 1}}
DETECTOR: dict[str, Any] = {
    **SMALL,
    "fpn_width": 8,
    "head_width": 8,
    "rpn_pre_nms_top_n": (50, 50),
    "rpn_post_nms_top_n": (20, 20),
    "box_batch_size_per_image": 16,
    "box_score_thresh": 0.0,
}
LOSSES = {"cross_entropy": 1.0, "focal": 1.0, "dice": 1.0, "lovasz": 1.0}

TASKS: dict[str, Callable[[], Task]] = {
    "classification": lambda: ClassificationTask(4, calibrate=True, class_weights="balanced", **SMALL),
    "mixup": lambda: ClassificationTask(4, mixup=0.2, focal_gamma=2.0, test_time_flips="horizontal", **SMALL),
    "localization": lambda: LocalizationTask(4, class_agnostic=False, box_loss="ciou", **SMALL),
    "detection": lambda: DetectionTask(4, **DETECTOR),
    "detection sliding-window": lambda: DetectionTask(4, proposals="sliding-window", neck="none", **DETECTOR),
    "segmentation": lambda: SegmentationTask(
        5,
        loss=LOSSES,
        class_weights=[1.0] * 5,
        auxiliary_weight=0.1,
        test_time_flips="horizontal",
        test_time_scales=(1.0, 0.5),
        **SMALL,
    ),
    "segmentation segnet": lambda: SegmentationTask(5, decoder="segnet", normalization="dataset", **SMALL),
    "autoencoding": lambda: AutoencodingTask(8, image_size=(48, 40), loss={"mse": 1.0, "ssim": 1.0}, **SMALL),
}


def data_for(task: Task) -> ShapesDataModule:
    """Make batches of what a task takes."""
    kind: Any = task.takes or "classification"
    return ShapesDataModule(kind, train_size=12, val_size=12, test_size=2, image_size=(48, 40), batch_size=4)
