"""The task of the user's own in docs/own_task.md: it trains, is shown, is saved and loaded, and predicts files."""

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger
from PIL import Image
from torch.utils.data import DataLoader

from tests.callbacks.wandb_log import no_account, read_logs
from tests.report.reading import Page
from visiontasks.callbacks import PredictionImages, WorstSamples
from visiontasks.callbacks.wandb_run import finish_runs
from visiontasks.cli import main
from visiontasks.testing import check_task

DOCS = Path(__file__).parent.parent / "docs"
FILE = DOCS / "examples" / "angle_task.py"
PAGE = (DOCS / "own_task.md").read_text()
RUN = Path("runs", "angle", "first")


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """Import the file as a user does, from its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FILE.parent)
        import angle_task  # type: ignore[import-not-found]  # in the folder that was added

        yield angle_task
    del sys.modules["angle_task"]


@pytest.fixture(scope="module")
def trained(example: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the code of the page, with fewer epochs and without a progress bar; return its names and its folder."""
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    quick = code.replace("max_epochs=8", "max_epochs=3, accelerator='cpu', enable_progress_bar=False")
    assert quick != code
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("own"))
        torch.manual_seed(0)
        exec(quick, names)
        return names | {"folder": Path.cwd()}


def loader(example: ModuleType) -> DataLoader[Any]:
    return DataLoader(example.bars(100, seed=2), batch_size=50)


def predict(task: Any, batches: DataLoader[Any]) -> Any:  # noqa: ANN401 (a task and predictions of the example)
    with torch.no_grad():
        return torch.cat([task.eval().predict(task(batch.images)).angles for batch in batches])


def test_it_is_one_short_file_and_in_the_docs_as_it_is() -> None:
    assert len(FILE.read_text().splitlines()) <= 80
    assert f"{{literalinclude}} {FILE.relative_to(DOCS)}" in PAGE
    assert "own_task" in (DOCS / "index.md").read_text().split("{toctree}", 1)[1]


def test_it_keeps_the_contract_of_tasks(example: ModuleType) -> None:
    batch = next(iter(DataLoader(example.bars(8, seed=0), batch_size=8)))
    check_task(example.AngleTask(backbone_options={"filters": [4], "depth": 1}), batch)


def test_it_learns(trained: dict[str, Any], example: ModuleType) -> None:
    batches = loader(example)
    truth = torch.cat([batch.angles for batch in batches])
    error = (predict(trained["task"], batches) - truth).abs()
    mean = torch.minimum(error, 180 - error).mean().item()
    assert mean < 10  # 45 by chance
    assert trained["trainer"].callback_metrics["test/error"].item() == pytest.approx(mean, abs=1e-3)


def test_its_pictures_are_drawn_by_its_own_function(trained: dict[str, Any], example: ModuleType) -> None:
    folder = trained["folder"] / RUN
    assert {path.stem for path in (folder / "predictions").iterdir()} >= {"test", *(f"val_epoch_{i}" for i in range(3))}
    batch = next(iter(DataLoader(example.bars(100, seed=2), batch_size=32)))
    angles = predict(trained["task"], DataLoader(example.bars(100, seed=2), batch_size=50))[:32]
    expected = example.draw(batch, example.AnglePredictions(angles), [])
    with Image.open(folder / "predictions" / "test.png") as picture:
        assert np.abs(np.asarray(picture).astype(int) - expected.permute(1, 2, 0).numpy()).mean() < 0.5
    assert (folder / "worst" / "test.png").is_file()


def test_the_report_orders_its_samples_and_names_their_angles(trained: dict[str, Any]) -> None:
    page = Page((trained["folder"] / RUN / "report.html").read_text(encoding="utf-8"))
    assert "Best and worst by minus the error in degrees." in page.text
    assert re.search(r"image \d+ · angle \d+\.?\d* · quality -\d", page.text)
    assert page.html.count("data:image/jpeg;base64,") == 24


def test_weights_and_biases_gets_pictures_and_a_table(
    trained: dict[str, Any], example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_account(monkeypatch, tmp_path)
    callbacks: list[Any] = [PredictionImages(4), WorstSamples(3)]
    logger = WandbLogger(project="p", save_dir=tmp_path, offline=True)
    trainer = Trainer(accelerator="cpu", logger=logger, callbacks=callbacks, enable_progress_bar=False)
    trainer.test(trained["task"], loader(example), verbose=False)
    finish_runs(trainer)
    (log,) = read_logs(tmp_path)
    assert log.last("test/error") == pytest.approx(trained["trainer"].callback_metrics["test/error"].item(), abs=1e-4)
    with Image.open(log.folder / log.last("test/predictions")["path"]) as picture:
        assert picture.size == (4 * (96 + 6) + 6, 96 + 20 + 12)
    table = json.loads((log.folder / log.last("test/worst")["path"]).read_text())
    assert table["columns"] == ["image", "number", "quality", "angle"]
    angles = predict(trained["task"], loader(example))
    rows = table["data"]
    assert [row[3] for row in rows] == pytest.approx([angles[row[1]].item() for row in rows], abs=0.06)
    assert rows[0][2] <= rows[1][2] <= rows[2][2] < 0
    assert [row[0] for row in rows] == ["Image"] * 3  # their pixels are in an artifact


def test_a_checkpoint_is_enough(trained: dict[str, Any], example: ModuleType) -> None:
    file = trained["folder"] / RUN / "checkpoints" / "last.ckpt"
    loaded = example.AngleTask.load_from_checkpoint(file)
    assert loaded.image_size == (32, 32)
    assert torch.equal(predict(loaded, loader(example)), predict(trained["task"], loader(example)))


def test_the_command_line_predicts_files(
    trained: dict[str, Any], example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = re.findall(r"^\$ visiontasks (.*)$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    truth = {}
    for sample in example.bars(6, seed=3):
        Image.fromarray(sample.images.permute(1, 2, 0).numpy()).save(f"images/{sample.ids}.png")
        truth[f"{sample.ids}.png"] = sample.angles.item()
    (tmp_path / "runs").symlink_to(trained["folder"] / "runs")
    assert main([*line.split(), "--device", "cpu", "--overlays", "shown"]) == 0
    with Path("angles.csv").open(newline="") as file:
        found = {Path(row["file"]).name: float(row["angle"]) for row in csv.DictReader(file)}
    assert found.keys() == truth.keys()
    for name, angle in truth.items():
        assert min(abs(found[name] - angle), 180 - abs(found[name] - angle)) < 30
    assert len({round(angle) for angle in found.values()}) > 3
    assert len(list(Path("shown").rglob("*.jpg"))) == 6
