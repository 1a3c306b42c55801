"""Images reach the network in files as in validation, and its decisions are those of the task."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch import Tensor

from tests.data.datamodules.image_sets import write_coco, write_folders
from tests.prediction.small_tasks import NAMES, SMALL, TASKS, save_task
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    COCODataModule,
    DetectionTask,
    FolderDataModule,
    Kind,
    LocalizationTask,
    SegmentationTask,
    Task,
)
from visiontasks.cli import main
from visiontasks.data.images.mask_reading import read_mask
from visiontasks.data.images.reading import read_image
from visiontasks.errors import ArgumentError
from visiontasks.prediction import create_predictor, predict_images
from visiontasks.types import SegmentationPredictions

DEEP: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8], "depth": 1}}
CASES: dict[str, tuple[Callable[[], Task], str, dict[str, Any]]] = {
    "classification": (
        lambda: ClassificationTask(4, mode="multilabel", **DEEP),
        "classification",
        {"image_size": (24, 32)},
    ),
    "localization": (lambda: LocalizationTask(4, **DEEP), "localization", {"image_size": (24, 32)}),
    "detection, resized": (
        lambda: DetectionTask(4, fpn_width=8, head_width=8, **DEEP),
        "detection",
        {"shorter": 40, "longer": 50},
    ),
    "detection, square": (
        lambda: DetectionTask(4, fpn_width=8, head_width=8, **DEEP),
        "detection",
        {"image_size": (48, 48)},
    ),
    "segmentation": (lambda: SegmentationTask(5, **DEEP), "segmentation", {}),
    "autoencoding": (
        lambda: AutoencodingTask(4, image_size=(24, 32), bank_size=0, **DEEP),
        "autoencoding",
        {"image_size": (24, 32)},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_files_are_seen_as_in_the_validation_of_the_training(
    case: str, make_trainer: Callable[..., Trainer], tmp_path: Path
) -> None:
    make, kind, options = CASES[case]
    # Batches of one, so that segmentation has no padding.
    options = {"task": kind, "batch_size": 4, "eval_batch_size": 1, "num_workers": 0, **options}
    if kind == "autoencoding":
        data: Any = FolderDataModule(write_folders(tmp_path / "data", 4), **options)
    else:
        data = COCODataModule(write_coco(tmp_path / "data", 4), **options)
    trainer = make_trainer(max_steps=1)
    trainer.fit(make(), datamodule=data)
    trainer.save_checkpoint(tmp_path / "task.ckpt")
    task_class = type(trainer.lightning_module)
    task: Any = task_class.load_from_checkpoint(tmp_path / "task.ckpt")
    predictor, inputs = create_predictor(task, device="cpu"), list[tuple[Any, ...]]()
    task.register_forward_pre_hook(lambda module, given: inputs.append(given))
    files = [data.val_set.index.file(image) for image in range(len(data.val_set))]
    assert len({read_image(file).shape for file in files}) == 3
    predictions = list(predict_images(predictor, files, batch_size=1))
    assert all(prediction.error is None for prediction in predictions)
    seen = inputs.copy()
    assert len(seen) == len(files)
    for given, batch in zip(seen, data.val_dataloader(), strict=True):
        for ours, theirs in zip(given, task.inputs(batch), strict=True):
            assert torch.equal(ours, theirs)


class Turned(SegmentationTask):
    """Says the last class wherever the image is dark, in one of the places where a subclass can say so."""

    def decide(self, probabilities: Tensor) -> SegmentationPredictions:
        decided = super().decide(probabilities)
        return decided._replace(labels=2 - decided.labels)


class Predicting(SegmentationTask):
    def predict(self, outputs: Any) -> SegmentationPredictions:  # noqa: ANN401 - as the base
        decided = super().predict(outputs)
        return decided._replace(labels=2 - decided.labels)


class Forwarding(SegmentationTask):
    def eval_forward(self, images: Tensor) -> Any:  # type: ignore[override]  # noqa: ANN401 - without options
        return super().eval_forward(images).flip(1)  # type: ignore[union-attr]  # a tensor


@pytest.mark.parametrize("words", [[], ["--window", "16", "16"]])
@pytest.mark.parametrize("changed", [Turned, Predicting, Forwarding])
def test_what_a_subclass_decides_is_in_its_files(
    changed: type[SegmentationTask], words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    plain: Any = TASKS["segmentation"]()
    task = changed(3, NAMES, backbone_options=SMALL)
    Image.effect_noise((40, 24), 90).convert("RGB").save("a.png")
    # Every class occurs.
    *_, bias = (value for value in plain.decoder.parameters() if value.shape == (3,))
    with torch.no_grad():
        bias.sub_(plain.eval()(read_image("a.png")[None]).mean((0, 2, 3)))
    task.load_state_dict(plain.state_dict())
    masks = []
    for one in (plain, task):
        save_task(one, Path("x.ckpt"))
        named = ["--task", f"{__name__}.{type(one).__name__}"] if one is task else []
        assert main(["predict", "x.ckpt", "a.png", "-o", "out", "--device", "cpu", *words, *named]) == 0
        masks.append(read_mask(Path("out/a.png")))
    assert (masks[0] == 2 - masks[1]).all()
    assert set(masks[0].flat) == {0, 1, 2}


def test_an_option_that_an_override_does_not_take_is_named() -> None:
    task = Forwarding(3, backbone_options=SMALL)
    with pytest.raises(ArgumentError, match=r"flips is given, but Forwarding\.eval_forward does not take it"):
        create_predictor(task, flips="both")
    with pytest.raises(ArgumentError, match=r"score is given, but Strict\.predict does not take it"):
        create_predictor(Strict(2, image_size=(32, 32), fpn_width=8, head_width=8, **DEEP), score=0.5)


class Strict(DetectionTask):
    def predict(self, outputs: Any) -> Any:  # type: ignore[override]  # noqa: ANN401 - without options
        return super().predict(outputs)


# A task of a user's own, in a file of its own.

ANGLE = """
from typing import NamedTuple

import torch
from torch import Tensor

from visiontasks import Kind, Task


class AngleBatch(NamedTuple):
    images: Tensor
    angles: Tensor
    ids: Tensor


class AnglePredictions(NamedTuple):
    angles: Tensor


def draw(batch, predictions, class_names):
    assert batch.angles.isnan().all() and len(predictions.angles) == 1
    return torch.full_like(batch.images[0], int(10 * predictions.angles[0]) % 256)


class AngleTask(Task):
    batch_type = AngleBatch
    kind = Kind(batch=AngleBatch, predictions=AnglePredictions, draw=draw,
                row=lambda predictions, names: {"angle": round(float(predictions.angles[0]), 3)})

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.head = torch.nn.Linear(self.backbone.channels[-1], 1)

    def forward(self, images):
        return self.head(self.backbone(self.normalize(images))[-1].mean((2, 3)))[:, 0].float()

    def losses(self, outputs, batch):
        return {"square": (outputs - batch.angles).square().mean()}

    def predict(self, outputs):
        return AnglePredictions(outputs)
"""

TRAIN = """
import warnings; warnings.simplefilter("ignore")
import torch
from lightning.pytorch import Trainer
from torch.utils.data import DataLoader
from my_angles import AngleBatch, AngleTask

batches = [AngleBatch(torch.randint(256, (4, 3, 16, 20), dtype=torch.uint8), torch.rand(4), torch.arange(4))] * 3
trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
trainer.fit(AngleTask(backbone_options={"filters": [4], "depth": 1}), DataLoader(batches, batch_size=None))
trainer.save_checkpoint("angles.ckpt")
"""


def test_a_task_of_ones_own_predicts_files_by_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "my_angles.py").write_text(ANGLE)
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "", "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment
        )

    done = run("-c", TRAIN)
    assert done.returncode == 0, done.stderr
    for name, size in (("a.png", (30, 44)), ("b.png", (20, 16))):
        Image.effect_noise(size, 90).convert("RGB").save(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"broken")
    words = ["-m", "visiontasks", "predict", "angles.ckpt", "a.png", "b.png", "c.png", "--task", "my_angles.AngleTask"]
    code = (
        "import torch; from my_angles import AngleTask; from visiontasks.data.images.reading import read_image\n"
        "task = AngleTask.load_from_checkpoint('angles.ckpt').eval()\n"
        "for file in ('a.png', 'b.png'): print(float(task(read_image(file, 3, (16, 20))[None])[0]))"
    )
    expected = [float(line) for line in run("-c", code).stdout.split()]
    done = run(*words, "-o", "out.jsonl", "--overlays", "drawn", "--batch_size", "2")
    assert done.returncode == 1, done.stderr
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line.get("values", {}).get("angle") for line in lines] == [
        *(pytest.approx(value, abs=1e-3) for value in expected),
        None,
    ]
    assert (lines[0]["height"], lines[0]["width"]) == (44, 30)
    assert "c.png" in lines[2]["error"]
    assert sorted(file.name for file in (tmp_path / "drawn").iterdir()) == ["a.jpg", "b.jpg"]
    with Image.open(tmp_path / "drawn" / "a.jpg") as picture:
        assert picture.size == (20, 16)  # as the network sees it
    done = run(*words, "-f", "csv")
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["file"] for row in rows] == ["a.png", "b.png"]
    assert [float(row["angle"]) for row in rows] == pytest.approx(expected, abs=1e-3)


class Brightness(Task):
    """Predicts how bright an image is, as a bare tensor."""

    kind: ClassVar[Kind | None] = Kind(row=lambda predictions, names: {"brightness": float(predictions[0])})

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean((1, 2, 3))

    def losses(self, outputs: Tensor, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401 - as the base
        return {}

    def predict(self, outputs: Tensor) -> Any:  # noqa: ANN401 - as the base
        return outputs


class Pair(NamedTuple):
    means: Tensor
    more: tuple[Tensor, Tensor]


class Nested(Brightness):
    kind = Kind(row=lambda predictions, names: {"brightness": float(predictions.more[1][0])})

    def predict(self, outputs: Tensor) -> Pair:
        return Pair(outputs, (outputs + 1, outputs))


@pytest.mark.parametrize("own", [Brightness, Nested])
def test_predictions_of_ones_own_are_taken_apart(own: type[Brightness]) -> None:
    images = [torch.full((3, 8, 8), value, dtype=torch.uint8) for value in (3, 5, 9)]
    task = own(image_size=(8, 8), backbone_options=SMALL)
    values = [prediction.values for prediction in predict_images(task, images, batch_size=2)]
    assert values == [{"brightness": 3.0}, {"brightness": 5.0}, {"brightness": 9.0}]


def test_a_kind_of_ones_own_writes_what_one_of_our_tasks_predicts() -> None:
    class Certain(ClassificationTask):
        kind = Kind(row=lambda predictions, names: {names[int(predictions.labels[0])]: 1})

    task = Certain(3, NAMES, image_size=(20, 24), backbone_options=SMALL)
    (prediction,) = predict_images(task, torch.zeros(3, 30, 30, dtype=torch.uint8))
    (plain,) = predict_images(TASKS["multiclass"](), torch.zeros(3, 30, 30, dtype=torch.uint8))
    assert plain.values is None
    assert prediction.values is not None
    assert set(prediction.values) <= set(NAMES)


def test_images_of_their_own_sizes_are_computed_with_others_of_the_same() -> None:
    task = AutoencodingTask(5, "map", backbone_options=SMALL)
    counts: list[tuple[int, ...]] = []
    task.register_forward_pre_hook(lambda module, given: counts.append(tuple(given[0].shape)))
    images = [torch.zeros(3, *size, dtype=torch.uint8) for size in [(16, 20)] * 3 + [(20, 16)]]
    predictor = create_predictor(task, device="cpu")
    assert predictor.batch_size == 1
    list(predict_images(predictor, images, batch_size=4))
    assert counts == [(3, 3, 16, 20), (1, 3, 20, 16)]


@pytest.mark.parametrize("layers", [0, 3])
def test_a_mask_has_the_size_of_its_file(layers: int) -> None:
    mode: Any = "multilabel" if layers else "multiclass"
    task = SegmentationTask(3, mode=mode, backbone_options=SMALL)
    image = torch.randint(256, (3, 32, 48), dtype=torch.uint8)
    predictor = create_predictor(task, device="cpu", image_size=(16, 24))
    (whole,) = predict_images(predictor, image)
    assert whole.mask is not None
    assert whole.mask.shape == ((3, 32, 48) if layers else (32, 48))
    small = predictor.prepare(image.permute(1, 2, 0).numpy(), 0).prepared.images
    assert small.shape == (3, 16, 24)
    (half,) = predict_images(create_predictor(task, device="cpu"), small)
    assert half.mask is not None
    assert torch.equal(whole.mask[..., ::2, ::2], half.mask)
    (parts,) = predict_images(create_predictor(task, device="cpu", image_size=(16, 24), window=(16, 16)), image)
    assert parts.mask is not None
    assert parts.mask.shape == whole.mask.shape
    shares = [(whole.layer(label) == 1).float().mean().item() for label in whole.labels]
    assert whole.scores == pytest.approx(shares)
