"""From data of one's own, in the form that they have, to a model."""

import pytest

from tests.journeys import made_data as made
from tests.journeys.journey import SMALL, SMALL_DETECTOR, SMALL_IMAGES, UNSEEN, Journey, cases, check_described, travel

JOURNEYS = (
    Journey(
        "my folder of three classes",
        "your_own_data.md#a-folder-for-each-class command_line.md",
        made.photos,
        (
            "visiontasks check --data FolderDataModule --data.root photos",
            "visiontasks fit --data FolderDataModule --data.root photos",
            "visiontasks predict runs/fit/version_0 new_photos/ --output predictions.csv",
        ),
        left=(("predictions.csv", "file,label,class,score"), ("predictions.csv", "new_photos/2.jpg")),
        said=("  fish  ", "0 errors, 0 warnings."),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "my COCO JSON of one class",
        "your_own_data.md#a-coco-json-file command_line.md",
        made.coco_of_one_class,
        (
            "visiontasks check --data COCODataModule --data.root mine",
            "visiontasks fit --data COCODataModule --data.root mine --model DetectionTask",
            "visiontasks predict runs/fit/version_0 new_photos/ --output found.jsonl",
        ),
        left=(("found.jsonl", '"objects": ['),),
        said=("  cell  ", "val/map "),
        quick=f"{SMALL} {UNSEEN} {SMALL_DETECTOR}",
    ),
    Journey(
        "YOLO labels",
        "your_own_data.md#yolo-labels",
        made.yolo,
        (
            "visiontasks check --data YOLODataModule --data.root mine",
            "visiontasks fit --data YOLODataModule --data.root mine --model DetectionTask",
        ),
        left=(("runs/fit/version_0/checkpoints/last.ckpt", ""),),
        said=("  washer  ", "val/map "),
        quick=f"{SMALL} {UNSEEN} {SMALL_DETECTOR}",
        slow=True,
    ),
    Journey(
        "VOC XML with own names",
        "your_own_data.md#a-folder-with-voc-xml-files",
        made.voc_with_own_names,
        (
            "visiontasks check --data VOCDataModule --data.root mine",
            "visiontasks fit --data VOCDataModule --data.root mine --model DetectionTask",
        ),
        left=(("runs/fit/version_0/checkpoints/last.ckpt", ""),),
        said=("  bolt  ", "  screw  ", "val/map "),
        quick=f"{SMALL} {UNSEEN} {SMALL_DETECTOR}",
        slow=True,
    ),
    Journey(
        "masks with void 255",
        "your_own_data.md#images-and-masks command_line.md from_training_to_use.md",
        made.masks_with_void,
        (
            "visiontasks check --data MaskFolderDataModule --data.root mine --data.class_names [background,road]",
            "visiontasks fit --data MaskFolderDataModule --data.root mine --data.class_names [background,road] "
            "--model SegmentationTask",
            "visiontasks predict runs/fit/version_0 new_photos/ --output masks --overlays pictures",
        ),
        left=(("masks/2.png", ""), ("pictures/2.jpg", "")),
        said=("  road  ", "0 errors, 0 warnings.", "val/miou "),
        quick=f"{SMALL} {UNSEEN}",
    ),
    Journey(
        "one object per image from a CSV",
        "your_own_data.md#a-table command_line.md",
        made.table_of_boxes,
        (
            "visiontasks check --data CSVDataModule --data.root mine --data.task localization",
            "visiontasks fit --data CSVDataModule --data.root mine --model LocalizationTask",
            "visiontasks predict runs/fit/version_0 new_photos/ --output found.csv",
        ),
        left=(("found.csv", "file,label,class,score,xmin,ymin,xmax,ymax"),),
        said=("  nut  ", "val/localization_error "),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "multilabel, one-hot",
        "your_own_data.md#a-table command_line.md",
        made.one_hot_table,
        (
            "visiontasks fit --data CSVDataModule --data.root mine --model.mode multilabel",
            "visiontasks predict runs/fit/version_0 new_photos/ --output found.csv",
        ),
        left=(("found.csv", "file,label,class,score"),),
        said=("  tree ", "val/map "),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "grey images",
        "your_own_data.md#values-of-the-files",
        made.grey_scans,
        ("visiontasks fit --data FolderDataModule --data.root scans --data.in_channels 1",),
        left=(("runs/fit/version_0/hparams.yaml", "in_channels: 1"),),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "images of 16 bits",
        "your_own_data.md#values-of-the-files command_line.md",
        made.deep_scans,
        (
            "visiontasks fit --data FolderDataModule --data.root scans --data.in_channels 1 "
            "--data.value_range percentiles",
            "visiontasks predict runs/fit/version_0 scans/light --output found.csv",
        ),
        left=(("found.csv", "scans/light/5.png"),),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "images of four channels",
        "your_own_data.md#values-of-the-files",
        made.four_channels,
        ("visiontasks fit --data FolderDataModule --data.root scans --data.in_channels 4",),
        left=(("runs/fit/version_0/hparams.yaml", "in_channels: 4"),),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "a rare class, drawn as often as the others",
        "data.md#order-and-evaluation",
        made.photos,
        ("visiontasks fit --data FolderDataModule --data.root photos --data.balanced true",),
        left=(("runs/fit/version_0/config.yaml", "balanced: true"),),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "a rare class, with a larger weight in the loss",
        "tasks/classification.md#the-loss data.md",
        made.photos,
        ("visiontasks fit --data FolderDataModule --data.root photos --model.class_weights balanced",),
        left=(("runs/fit/version_0/hparams.yaml", "class_weights"),),
        quick=f"{SMALL} {UNSEEN} {SMALL_IMAGES}",
    ),
    Journey(
        "see the data",
        "command_line.md#looking-at-data",
        made.coco_of_one_class,
        ("visiontasks show --data COCODataModule --data.root mine --output seen.png",),
        left=(("seen.png", ""), ("seen_classes.png", ""), ("seen_boxes.png", "")),
        said=('"transforms": [',),
    ),
)


@pytest.mark.parametrize("journey", cases(JOURNEYS))
def test_data_of_ones_own_become_a_model(
    journey: Journey, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    check_described(journey)
    travel(journey, capsys, caplog)
