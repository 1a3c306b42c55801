"""Files of detections in the formats that the evaluation tools of COCO and VOC read."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from visiontasks.callbacks.pictures import loader_suffix
from visiontasks.errors import ArgumentError, check_choice
from visiontasks.files import OptionalFiles, write_atomically
from visiontasks.metrics.empty_states import fill_empty_states

ResultsForm = Literal["coco", "voc"]
_Row = tuple[Any, int, float, np.ndarray]


class DetectionResults(Callback):
    """Writes the detections of a test, with the pixels and ids of the original data set.

    ``"coco"`` writes ``results/detections.json``: a list of image_id, category_id, bbox (x, y, width, height), score.
    ``"voc"`` writes ``results/comp4_det_test_CLASS.txt``: image, score, xmin, ymin, xmax, ymax per line, with 1-based
    inclusive corners. The folder ``results`` is in the run folder; with several test loaders there is one for each,
    ``results_dataloader_idx_1`` for the second one. Masks are not written; ``visiontasks predict CHECKPOINT
    --split test --format coco --output FILE`` writes them with the boxes.

    Args:
        form: The format.

    Raises:
        ArgumentError: If there is no such format.
    """

    def __init__(self, form: ResultsForm = "coco") -> None:
        check_choice("form", form, get_args(ResultsForm))
        self.form = form
        self._optional = OptionalFiles("files of detections")
        self._loader = 0
        self._indices: list[Any] = []
        self._rows: list[list[_Row]] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start at the first loader, and check that the images have names."""
        self._loader, self._rows = 0, []
        loop: Any = trainer._evaluation_loop
        sets = [loader.dataset for loader in loop._combined_loader.flattened]
        self._indices = [getattr(dataset, "index", None) for dataset in sets]
        for dataset, index in zip(sets, self._indices, strict=True):
            if index is None:
                message = (
                    f"The test data, a {type(dataset).__name__}, have no files; results are written by the names of "
                    "files."
                )
                raise ArgumentError(message)

    def on_test_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Gather the detections of a loader before the next one."""
        if dataloader_idx != self._loader:
            self.on_test_epoch_end(trainer, pl_module)
            self._loader = dataloader_idx

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather the detections of all processes; the task computes and resets its metrics after this."""
        task: Any = pl_module
        metric: Any = next(iter(task.scores.test_metrics.values()))
        fill_empty_states([metric])
        with metric.sync_context():
            ids, _, detections = metric.records()
        images = [self._indices[self._loader].image_id(int(position)) for position in ids]
        rows = [
            (images[image], int(label), float(score), box)
            for image, box, label, score in zip(
                detections.images.tolist(),
                detections.boxes,
                detections.labels.tolist(),
                detections.scores.tolist(),
                strict=True,
            )
        ]
        self._rows.append(rows)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the files. All processes agree on the folder, one writes."""
        rows_of_loaders, self._rows = self._rows, []
        if not (log_dir := trainer.log_dir) or not trainer.is_global_zero:
            return
        for loader, (index, rows) in enumerate(zip(self._indices, rows_of_loaders, strict=True)):
            folder = Path(log_dir) / f"results{loader_suffix(loader)}"
            with self._optional.in_folder(folder):
                self._write(folder, index, rows)

    def _write(self, folder: Path, index: Any, rows: list[_Row]) -> None:
        if self.form == "coco":
            write_atomically(folder / "detections.json", json.dumps(_coco(rows, index)))
            return
        for label, name in enumerate(index.class_names):
            lines = [_voc_line(image, score, box) for image, number, score, box in rows if number == label]
            write_atomically(folder / f"comp4_det_test_{name}.txt", "".join(lines))


def _coco(rows: Iterable[_Row], index: Any) -> list[dict[str, Any]]:
    return [
        {
            "image_id": image,
            "category_id": index.category_id(label),
            "bbox": [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()],
            "score": score,
        }
        for image, label, score, box in rows
    ]


def _voc_line(image: object, score: float, box: np.ndarray) -> str:
    x1, y1, x2, y2 = box
    return f"{image} {score:.6f} {x1 + 1:.6f} {y1 + 1:.6f} {x2:.6f} {y2:.6f}\n"
