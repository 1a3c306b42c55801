"""Tasks of a user's own, whose predictions are written and drawn as their kind says."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.prediction.small_tasks import NAMES, SMALL, TASKS
from visiontasks import ClassificationTask, Kind, Task
from visiontasks.errors import ArgumentError
from visiontasks.prediction import Prediction, predict_images
from visiontasks.prediction.formats import ValuesCsv
from visiontasks.prediction.overlays import draw_prediction

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


@pytest.mark.slow
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


class Marked(NamedTuple):
    images: Tensor
    marks: Tensor


def test_what_draws_gets_the_fields_that_its_kind_names() -> None:
    def draw(batch: Any, predictions: Any, class_names: Any) -> Tensor:  # noqa: ANN401 - of this task
        assert batch.marks.isnan().all()
        assert batch.images.shape == (1, 3, 8, 8)
        return torch.full((3, 8, 8), int(predictions[0]), dtype=torch.uint8)

    class Drawn(Brightness):
        kind = Kind(batch=Marked, draw=draw, row=lambda predictions, names: {"brightness": float(predictions[0])})

    images = [torch.full((3, 8, 8), value, dtype=torch.uint8) for value in (3, 5)]
    task = Drawn(image_size=(8, 8), backbone_options=SMALL)
    pictures = [draw_prediction(prediction, []) for prediction in predict_images(task, images)]
    assert [int(picture[0, 0, 0]) for picture in pictures] == [3, 5]


def test_rows_of_a_table_have_the_same_columns(tmp_path: Path) -> None:
    writer = ValuesCsv(tmp_path / "x.csv")
    first = writer.encode(Prediction(Path("a.png"), (2, 3), values={"angle": 1.5}))
    other = writer.encode(Prediction(Path("b.png"), (2, 3), values={"angle": 2.5, "length": 3}))
    with writer:
        writer.collect(first)
        with pytest.raises(ArgumentError, match=r"'b\.png' are angle, length, those of the first image angle"):
            writer.collect(other)
    with writer:
        writer.collect(writer.encode(Prediction(Path("a.png"), error="could not be read")))
        writer.collect(writer.encode(Prediction(Path("b.png"), (2, 3), values={"angle": 2.5})))
    assert (tmp_path / "x.csv").read_text() == "file,angle\nb.png,2.5\n"
