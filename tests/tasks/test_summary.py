"""What is printed of a task at the start of a fit."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch import Trainer
from PIL import Image

from visiontasks import ClassificationTask, DetectionTask, SegmentationTask, ShapesDataModule, YOLODataModule
from visiontasks.tasks.cost import PartCost
from visiontasks.tasks.summary import TaskSummary, counted_size, format_costs


def test_a_fit_begins_with_the_parts(make_trainer: Callable[..., Trainer], capsys: pytest.CaptureFixture[str]) -> None:
    trainer = make_trainer(callbacks=[TaskSummary()], fast_dev_run=True)
    data = ShapesDataModule(train_size=8, val_size=4, image_size=(16, 20), batch_size=4)
    trainer.fit(ClassificationTask(4, backbone_options={"filters": [4], "depth": 1}), data)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["part", "network", "parameters", "trained", "multiply-adds"]
    assert [line.split()[0] for line in lines[1:4]] == ["backbone", "head", "total"]
    assert lines[2].split()[1:] == ["ClassificationHead", "20", "20", "16"]
    assert lines[4].endswith("multiply-adds")
    assert lines[5] == "are the work for an image of 16 x 20 pixels (height x width), as the network gets it."


def test_numbers_have_three_digits_and_stand_below_one_another() -> None:
    parts = [PartCost("backbone", "resnet50", 23508032, 0, 4087136256), PartCost("total", "", 999, 999_600, None)]
    assert (
        format_costs(parts, (224, 224)) == """\
part      network   parameters  trained  multiply-adds
backbone  resnet50      23.5 M        0         4.09 G
total                      999   1.00 M              -
"""
        "Parameters are the numbers that make up the network, trained are those that this run changes; multiply-adds\n"
        "are the work for an image of 224 x 224 pixels "
        "(height x width), as the network gets it."
    )


@pytest.mark.parametrize(
    ("view", "image_size", "data_size", "expected"),
    [
        ({"policy": "Stretch", "size": [30, 40], "multiple": 1}, None, None, (30, 40)),
        ({"policy": "Within", "shorter": 800, "longer": 1333, "multiple": 32}, None, (384, 384), (800, 1344)),
        ({"policy": "Whole", "multiple": 1}, None, (384, 384), (384, 384)),
        (None, (50, 60), (384, 384), (50, 60)),
        (None, None, None, (224, 224)),
    ],
)
def test_the_image_is_that_of_evaluation(
    view: dict[str, Any] | None,
    image_size: tuple[int, int] | None,
    data_size: tuple[int, int] | None,
    expected: tuple[int, int],
) -> None:
    task = (DetectionTask if view and "shorter" in view else SegmentationTask)(2, image_size=image_size)
    task.view = view
    assert counted_size(task, data_size and SimpleNamespace(size=data_size)) == expected


def test_where_images_keep_their_shape_it_is_one_of_them(tmp_path: Path) -> None:
    for number, (height, width) in enumerate(((120, 160), (120, 160), (30, 300))):
        Image.new("RGB", (width, height)).save(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text("0 0.5 0.5 0.2 0.2")
    data = YOLODataModule(tmp_path, class_names=["cat"], shorter=160, fractions=(0, 1, 0), num_workers=0)
    data.val_set = data.dataset("val")
    task = DetectionTask(1)
    task.view = data.view
    # 160 x 213, in a batch whose sides are multiples of 32.
    assert counted_size(task, data) == (160, 224)
