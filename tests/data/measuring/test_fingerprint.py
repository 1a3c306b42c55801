"""Which data a run was made with."""

from pathlib import Path

import torch

from tests.data.datamodules.image_sets import write_coco
from visiontasks import COCODataModule, ShapesDataModule
from visiontasks.data.datasets.memory_samples import MemorySamples
from visiontasks.data.index.packed import ImageIndex
from visiontasks.data.measuring.fingerprint import fingerprint


def test_data_in_memory_differ_by_pixels_and_labels() -> None:
    def prints(seed: int) -> dict[str, str]:
        data = ShapesDataModule(train_size=6, val_size=4, test_size=4, image_size=(24, 24), data_seed=seed)
        data.setup("fit")
        return data.fingerprint()

    assert prints(0) == prints(0)
    assert set(prints(0)) == {"train", "val"}
    assert prints(0)["train"] != prints(1)["train"]


def test_data_in_files_differ_by_names_and_boxes(tmp_path: Path) -> None:
    def train() -> str:
        data = COCODataModule(write_coco(tmp_path, 3), "detection", num_workers=0)
        data.setup("fit")
        one = data.fingerprint()["train"]
        index = data.train_set.index
        assert isinstance(index, ImageIndex)
        assert index.boxes is not None
        boxes = index.boxes.copy()
        boxes[0, 0] += 1
        object.__setattr__(index, "boxes", boxes)
        assert fingerprint(data.train_set) != one
        return one

    assert len(train()) == 16


def test_data_differ_by_polygons_and_by_boxes_in_memory(tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path, 3), "segmentation", num_workers=0)
    data.setup("fit")
    one, index = fingerprint(data.train_set), data.train_set.index
    assert isinstance(index, ImageIndex)
    assert index.segments is not None
    values = index.segments.values.copy()
    values[0] += 1
    object.__setattr__(index.segments, "values", values)
    assert fingerprint(data.train_set) != one

    shapes = ShapesDataModule("detection", train_size=2, val_size=1, image_size=(24, 24))
    shapes.setup("fit")
    one = fingerprint(shapes.train_set)
    assert isinstance(shapes.train_set, MemorySamples)
    shapes.train_set.samples[1].boxes[0, 0] += 1
    assert fingerprint(shapes.train_set) != one


def test_of_another_data_set_its_length_counts() -> None:
    assert fingerprint(torch.utils.data.TensorDataset(torch.zeros(3))) == fingerprint([1, 2, 3])
