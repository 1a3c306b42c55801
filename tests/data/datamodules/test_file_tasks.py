"""What each kind of task does with images in files, stated once more in words."""

from pathlib import Path
from typing import Any, get_args

import pytest

from tests.data.datamodules.image_sets import write_coco, write_folders
from visiontasks import COCODataModule, FolderDataModule
from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.presets import PRESETS
from visiontasks.data.augmentation.resizing import RandomResizedCrop, RandomScaledCrop, Resizing, Stretch, Whole, Within
from visiontasks.data.datamodules.file_tasks import FILE_TASKS, Sizes, TaskName
from visiontasks.data.datasets.proposals import ProposalDataset
from visiontasks.errors import ArgumentError

SIZES = Sizes((20, 30), shorter=40, longer=60, crop_scale=(0.7, 1.5), scale=1.0, preset="default")
EXPECTED: dict[str, tuple[Resizing, Resizing]] = {
    "classification": (RandomResizedCrop((20, 30), area=(0.25, 1.0)), Stretch((20, 30))),
    "multilabel classification": (Stretch((20, 30)), Stretch((20, 30))),
    "localization": (Stretch((20, 30)), Stretch((20, 30))),
    "detection": (Within(40, 60), Within(40, 60)),
    "instances": (Within(40, 60), Within(40, 60)),
    "segmentation": (RandomScaledCrop((20, 30), (0.7, 1.5)), Whole()),
    "autoencoding": (Stretch((20, 30)), Stretch((20, 30))),
}


def test_every_task_has_a_row_and_presets() -> None:
    assert set(FILE_TASKS) == set(EXPECTED)
    assert set(PRESETS) == set(get_args(TaskName)) == set(FILE_TASKS) - {"multilabel classification"}


@pytest.mark.parametrize("kind", EXPECTED)
def test_images_are_brought_to_size_in_training_and_evaluation(kind: str) -> None:
    row = FILE_TASKS[kind]
    assert (row.training(SIZES), row.evaluation(SIZES)) == EXPECTED[kind]
    assert row.multiple == (32 if kind in ("detection", "instances") else 1)
    assert row.stretched().training(SIZES) == row.stretched().evaluation(SIZES) == Stretch((20, 30))
    assert row.stretched().multiple == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"task": "segmentation", "scale": 0}, "scale is 0, and task 'segmentation'; expected a factor .* above 0"),
        ({"task": "detection", "scale": 0.5}, "scale is 0.5, .* The size for detection is set by shorter and longer"),
        ({"task": "localization", "scale": 0.5}, "scale is 0.5, .* The size for localization is set by image_size"),
    ],
)
def test_a_scale_is_for_images_that_are_taken_as_they_are(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=said):
        COCODataModule(tmp_path, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"task": "classification", "shorter": 400},
            "shorter is 400 .* The size for classification is set by image_size",
        ),
        (
            {"task": "segmentation", "longer": 400},
            "The size for segmentation is set by image_size, that of crops, and scale",
        ),
        (
            {"task": "detection", "shorter": 400, "image_size": 320},
            "image_size is 320, .* Leave image_size out, or shorter",
        ),
    ],
)
def test_sides_that_would_have_no_effect_are_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=said):
        COCODataModule(tmp_path, **options)


@pytest.mark.parametrize("preset", ["none", "light"])
def test_weak_augmentation_leaves_images_whole(preset: str) -> None:
    assert FILE_TASKS["classification"].training(SIZES._replace(preset=preset)) == Stretch((20, 30))


def test_several_sides_are_for_training_alone() -> None:
    row, sizes = FILE_TASKS["detection"], SIZES._replace(preset="multiscale", shorter=100)
    assert row.training(sizes) == Within(tuple(range(60, 101, 4)), 60)
    assert row.evaluation(sizes) == Within(100, 60)


@pytest.mark.parametrize(
    ("options", "training", "evaluation", "multiple", "image_size"),
    [
        ({"shorter": 40, "longer": 60}, Within(40, 60), Within(40, 60), 32, None),
        ({"image_size": (16, 24)}, Stretch((16, 24)), Stretch((16, 24)), 1, (16, 24)),
        ({"task": "segmentation", "crop_scale": (0.7, 1)}, RandomScaledCrop((32, 32), (0.7, 1)), Whole(), 1, None),
        ({"task": "segmentation", "scale": 0.5, "image_size": 16, "crop_scale": (1, 2)},
         RandomScaledCrop((16, 16), (0.5, 1.0)), Whole(0.5), 1, None),
        ({"task": "segmentation", "scale": 2}, RandomScaledCrop((96, 96), (1.0, 4.0)), Whole(2), 1, None),
        ({"task": "segmentation", "image_size": (16, 24)}, RandomScaledCrop((16, 24)), Whole(), 1, None),
        ({"task": "classification"}, Stretch((224, 224)), Stretch((224, 224)), 1, (224, 224)),
        ({"task": "localization", "image_size": (16, 24)}, Stretch((16, 24)), Stretch((16, 24)), 1, (16, 24)),
    ],
)  # fmt: skip
def test_what_a_user_chooses_reaches_the_data_sets(
    options: dict[str, Any],
    training: Resizing,
    evaluation: Resizing,
    multiple: int,
    image_size: tuple[int, int] | None,
    tmp_path: Path,
) -> None:
    data = COCODataModule(write_coco(tmp_path), **options)
    data.setup("fit")
    val_set: Any = data.val_set
    assert (data.train_set.resizing, val_set.resizing) == (training, evaluation)
    assert (data.train_set.multiple, val_set.multiple) == (multiple, multiple)
    assert data.image_size == image_size
    assert data.view == EvaluationView(evaluation, multiple).describe()
    assert (data.train_sampler().groups is not None) == isinstance(training, Within)


def test_the_size_is_known_without_reading_annotations(tmp_path: Path) -> None:
    assert FolderDataModule(tmp_path / "nowhere", image_size=(16, 24)).image_size == (16, 24)
    assert FolderDataModule(tmp_path / "nowhere", "autoencoding").image_size == (128, 128)


def test_the_preset_decides_on_crops(tmp_path: Path) -> None:
    root = write_folders(tmp_path)
    resizings = {name: FolderDataModule(root, augmentation=name).dataset("train", training=True).resizing
                 for name in ("light", "default")}  # fmt: skip
    assert resizings == {"light": Stretch((224, 224)), "default": RandomResizedCrop((224, 224), area=(0.25, 1.0))}


def test_proposals_are_read_for_detection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visiontasks.data.datamodules.file_data.ProposalFile", lambda name: name)
    made: dict[str, Any] = {}
    monkeypatch.setattr(ProposalDataset, "__init__", lambda self, *args, **options: made.update(options))
    data = COCODataModule(write_coco(tmp_path), proposals="boxes.npz")
    assert type(data.dataset("val")) is ProposalDataset
    assert made["proposals"] == "boxes.npz"


@pytest.mark.parametrize(("task", "size"), [("detection", 4), ("instances", 4), ("segmentation", 16)])
def test_large_images_come_in_small_batches(task: Any, size: int) -> None:  # noqa: ANN401 - of several literals
    assert COCODataModule("anywhere", task).batch_size == size
    assert COCODataModule("anywhere", task, batch_size=7).batch_size == 7
