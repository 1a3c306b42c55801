"""How images are brought to a task in evaluation: what a fit records, and what a checkpoint says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from tests.data.datamodules.image_sets import write_coco
from visiontasks import (
    AutoencodingTask,
    ClassificationBatch,
    ClassificationTask,
    COCODataModule,
    DetectionBatch,
    DetectionTask,
    SegmentationTask,
    ShapesDataModule,
    Task,
)
from visiontasks.prediction import load_task
from visiontasks.tasks.record import RECORD
from visiontasks.tasks.views import WHOLE, evaluation_view

# A fit without validation is one of the cases.
pytestmark = pytest.mark.filterwarnings("ignore:You defined a `validation_step` but have no")

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8], "depth": 1}}
DETECTOR: dict[str, Any] = {**SMALL, "fpn_width": 8, "head_width": 16}


def stretched(height: int, width: int) -> dict[str, Any]:
    return {"policy": "Stretch", "size": [height, width], "multiple": 1}


def boxes(height: int, width: int, inside: tuple[int, int] | None = None) -> DetectionBatch:
    """Two images with a box each; the first one is padded if it is smaller."""
    sizes = torch.tensor([inside or (height, width), (height, width)])
    return DetectionBatch(
        torch.randint(256, (2, 3, height, width), dtype=torch.uint8),
        torch.tensor([[[4.0, 4, 20, 24]]] * 2),
        torch.zeros(2, 1, dtype=torch.int64),
        torch.zeros(2, 1, dtype=torch.bool),
        sizes,
        torch.ones(2, 2),
        torch.arange(2),
        torch.full((2, 1), 320.0),
    )


def labels(height: int, width: int) -> ClassificationBatch:
    images = torch.randint(256, (2, 3, height, width), dtype=torch.uint8)
    return ClassificationBatch(images, torch.tensor([0, 1]), torch.arange(2))


@pytest.fixture
def record(make_trainer: Callable[..., Trainer], tmp_path: Path) -> Callable[..., Task]:
    """Fit a task on batches of a plain loader or on a data module, and return it as its checkpoint has it."""

    def fit(task: Task, data: Any, validation: Any = None, **again: Any) -> Task:  # noqa: ANN401 - batches or a data module
        trainer = make_trainer(max_epochs=1, num_sanity_val_steps=0)
        if isinstance(data, list):
            loaders: list[Any] = [DataLoader(given, batch_size=None) for given in (data, validation) if given]  # type: ignore[arg-type]  # read like a Dataset
            trainer.fit(task, *loaders)
        else:
            trainer.fit(task, datamodule=data)
        trainer.save_checkpoint(tmp_path / "task.ckpt")
        view = evaluation_view(task)
        loaded = type(task).load_from_checkpoint(tmp_path / "task.ckpt", **again)
        assert again or evaluation_view(loaded) == view
        return loaded

    return fit


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"shorter": 40, "longer": 70}, {"policy": "Within", "shorter": 40, "longer": 70, "multiple": 32}),
        ({"image_size": (48, 40)}, stretched(48, 40)),
    ],
)
def test_a_detector_records_how_its_data_module_resizes(
    options: dict[str, Any], expected: dict[str, Any], record: Callable[..., Task], tmp_path: Path
) -> None:
    data = COCODataModule(write_coco(tmp_path / "data", 4), "detection", batch_size=4, num_workers=0, **options)
    # The size that the constructor was given is not that of the data.
    task = record(DetectionTask(4, image_size=(99, 99), **DETECTOR), data)
    assert task.view == evaluation_view(task) == expected == data.view
    if "image_size" in options:
        assert task.image_size == (48, 40)


@pytest.mark.parametrize(
    ("kind", "make", "expected"),
    [
        ("classification", lambda: ClassificationTask(4, **SMALL), stretched(16, 20)),
        ("segmentation", lambda: SegmentationTask(5, **SMALL), WHOLE),
    ],
)
def test_shapes_say_how_they_are_resized(
    kind: Any,  # noqa: ANN401 - a literal
    make: Callable[[], Task],
    expected: dict[str, Any],
    record: Callable[..., Task],
) -> None:
    data = ShapesDataModule(kind, train_size=2, val_size=2, batch_size=2, image_size=(16, 20))
    assert evaluation_view(record(make(), data)) == expected


@pytest.mark.parametrize(
    ("batches", "validation", "expected"),
    [
        ([(32, 48)], [], stretched(32, 48)),
        ([(32, 48), (48, 32)], [], None),
        # Those of the validation count: training images may be random crops.
        ([(32, 32)], [(48, 48)], stretched(48, 48)),
        ([(32, 32)], [(48, 48), (32, 48)], None),
        ([(32, 32, (32, 20))], [], None),
        ([(32, 32)], [(32, 32, (20, 32)), (32, 32)], None),
    ],
)
def test_a_plain_loader_is_predicted_at_the_size_that_was_seen(
    batches: list[Any], validation: list[Any], expected: dict[str, Any] | None, record: Callable[..., Task]
) -> None:
    trained, evaluated = ([boxes(*size) for size in sizes] for sizes in (batches, validation))
    task = record(DetectionTask(1, **DETECTOR), trained, evaluated)
    assert evaluation_view(task) == expected


def test_a_size_that_was_given_is_kept(record: Callable[..., Task]) -> None:
    task = record(ClassificationTask(2, image_size=(24, 24), **SMALL), [labels(16, 16)])
    assert evaluation_view(task) == stretched(24, 24)


def test_what_takes_any_size_is_not_bound_to_that_of_the_batches(record: Callable[..., Task]) -> None:
    task = record(AutoencodingTask(4, "map", bank_size=0, **SMALL), [labels(16, 16)])
    assert evaluation_view(task) == WHOLE
    assert evaluation_view(AutoencodingTask(4, image_size=(16, 16), **SMALL)) == stretched(16, 16)


def test_a_later_fit_records_its_own_images(record: Callable[..., Task]) -> None:
    first = record(ClassificationTask(2, **SMALL), [labels(16, 16)])
    assert evaluation_view(record(first, [labels(24, 20)])) == stretched(24, 20)
    data = ShapesDataModule(train_size=2, val_size=2, batch_size=2, image_size=(16, 20))
    task = record(ClassificationTask(4, **SMALL), data)
    assert evaluation_view(record(task, [labels(16, 20)])) == stretched(16, 20)


def test_a_size_replaces_what_was_recorded(record: Callable[..., Task], tmp_path: Path) -> None:
    data = COCODataModule(write_coco(tmp_path / "data", 4), "detection", batch_size=4, num_workers=0, shorter=40)
    task = record(DetectionTask(4, **DETECTOR), data, image_size=(64, 72))
    assert evaluation_view(task) == stretched(64, 72)


def test_a_step_of_ones_own_may_take_other_batches(record: Callable[..., Task]) -> None:
    class Own(ClassificationTask):
        def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 - as the base
            images, truth, _ = batch
            return torch.nn.functional.cross_entropy(self(images), truth)

    images, truth = torch.zeros(2, 3, 16, 16), torch.tensor([0, 1])
    assert evaluation_view(record(Own(2, **SMALL), [(images, truth, truth)])) is None


CHECKPOINTS = Path(__file__).parent / "checkpoints"


@pytest.mark.parametrize(
    ("name", "bounds", "size", "expected"),
    [
        ("classification", None, (16, 20), stretched(16, 20)),
        ("localization", None, (16, 20), stretched(16, 20)),
        ("autoencoding", None, (16, 20), stretched(16, 20)),
        ("segmentation", None, (16, 20), WHOLE),
        ("detection", None, (16, 20), stretched(16, 20)),
        ("detection", (40, 70), None, {"policy": "Within", "shorter": 40, "longer": 70, "multiple": 32}),
        ("detection", None, None, None),
        ("classification", None, None, None),
    ],
)
def test_an_earlier_checkpoint_is_predicted_as_it_was(
    name: str,
    bounds: tuple[int, int] | None,
    size: tuple[int, int] | None,
    expected: dict[str, Any] | None,
    tmp_path: Path,
) -> None:
    checkpoint = torch.load(CHECKPOINTS / f"{name}.ckpt", weights_only=True)
    assert "view" not in checkpoint[RECORD]
    checkpoint[RECORD] |= {"image_bounds": bounds, "image_size": size}
    checkpoint["hyper_parameters"]["image_size"] = size
    torch.save(checkpoint, tmp_path / "earlier.ckpt")
    assert evaluation_view(load_task(tmp_path / "earlier.ckpt")) == expected


def test_a_fit_forgets_what_an_earlier_one_saw(make_trainer: Callable[..., Trainer]) -> None:
    task = ClassificationTask(2, **SMALL)
    for size in ((16, 16), (24, 20)):
        loader: DataLoader[Any] = DataLoader([labels(*size)], batch_size=None)  # type: ignore[arg-type]  # as above
        make_trainer(max_epochs=1).fit(task, loader)
        assert evaluation_view(task) == stretched(*size)
    # Nor do images count that are only scored.
    scored: DataLoader[Any] = DataLoader([labels(40, 40)], batch_size=None)  # type: ignore[arg-type]  # as above
    make_trainer().validate(task, scored, verbose=False)
    assert evaluation_view(task) == stretched(24, 20)


def test_a_fit_that_goes_on_records_the_present_data(make_trainer: Callable[..., Trainer], tmp_path: Path) -> None:
    root = write_coco(tmp_path / "data", 4)
    path = None
    for shorter in (40, 48):
        data = COCODataModule(root, "detection", batch_size=4, num_workers=0, shorter=shorter, longer=70)
        trainer, task = make_trainer(max_steps=shorter // 40 + (path is not None)), DetectionTask(4, **DETECTOR)
        trainer.fit(task, datamodule=data, ckpt_path=path)
        path = tmp_path / f"{shorter}.ckpt"
        trainer.save_checkpoint(path)
        assert evaluation_view(DetectionTask.load_from_checkpoint(path)) == data.view
