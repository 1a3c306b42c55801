"""Every recipe runs with --fast, from a copy as a user makes it: without a data set, and without the network."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from visiontasks.cli import main

RECIPES = Path(__file__).parents[2] / "recipes"
SIGNS = {
    "bccd_detection": "test/map_50 ",
    "camvid_segmentation": r"^.* test/iou(.*\n)+ +bicyclist ",
    "coco_detection": "test/map_50 ",
    "coco_instances": "test/mask_map_50 ",
    "full_resolution_segmentation": r"^.* test/iou(.*\n)+ +background ",
    "localization": r"test/mean_iou +0\.\d",
    "mnist_autoencoder": "test/knn_accuracy ",
    "mnist_classification": r"^.* test/class_accuracy(.*\n)+ +9 ",
    "patch_segmentation": r"^.* test/iou(.*\n)+ +background ",
    "quickstart": r"test/accuracy +\d",
    "selective_search_detection": "test/map_50 ",
    "shapes_instances": "test/mask_map_50 ",
    "voc_detection": "test/map_50 ",
    "voc_segmentation": r"^.* test/iou(.*\n)+ +triangle ",
}
"""What each prints at its end, as a regular expression."""
APART = {"label_efficiency"}
"""Recipes that are no training and test of one task."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of all recipes."""
    root = tmp_path_factory.mktemp("user")
    for name in (*SIGNS, *APART):
        assert main(["recipes", "copy", name, "--output", str(root / "recipes")]) == 0
    return root


def start(recipe: str, folder: Path, *arguments: str) -> str:
    """Run the copy of a recipe, which finds no network; return what it prints."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, f"recipes/{recipe}.py", "--fast", *arguments],
        cwd=folder,
        env={**os.environ, **nowhere, "TORCH_HOME": str(folder / "weights"), "JAXTYPING_DISABLE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "weights").exists()
    assert done.stdout.rstrip().splitlines()[-1].startswith("The figures mean nothing")
    return done.stdout


def test_every_recipe_is_run_here() -> None:
    assert {path.stem for path in RECIPES.glob("*.py")} == {*SIGNS} | APART


@pytest.mark.parametrize("recipe", sorted({*SIGNS} - {"quickstart"}))
def test_a_recipe_goes_from_generated_data_to_report_and_pictures(recipe: str, folder: Path) -> None:
    assert re.search(SIGNS[recipe], start(recipe, folder), re.MULTILINE)
    run = folder / "runs" / recipe / "version_0"
    assert {"config.yaml", "metrics.csv", "report.html"} <= {path.name for path in run.iterdir()}
    assert (run / "predictions" / "test.png").exists()
    assert (recipe == "mnist_autoencoder") == (run / "codes" / "map_epoch_0.png").exists()


def test_the_best_epoch_is_tested_and_a_run_can_be_repeated(folder: Path) -> None:
    printed = start("quickstart", folder)
    run = folder / "runs" / "quickstart" / "version_0"
    assert f"Run folder: {run.relative_to(folder)}" in printed
    with (run / "metrics.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    best = max(float(row["val/accuracy"]) for row in rows if row["val/accuracy"])
    (checkpoint,) = (run / "checkpoints").glob("epoch*.ckpt")
    assert checkpoint.stem.endswith(f"val_accuracy{best:.4f}")
    # The images of the test are scored once, by that checkpoint.
    (tested,) = (float(row["test/accuracy"]) for row in rows if row["test/accuracy"])
    assert tested * 8 == round(tested * 8)
    assert re.search(rf"test/accuracy +{tested:.4f}\s", printed)
    assert f"Best checkpoint: {checkpoint.relative_to(folder)}" in printed
    assert (run / "predictions" / "test.png").exists()
    # The saved configuration runs again, and a flag wins over it.
    again = start("quickstart", folder, "--config", str(run / "config.yaml"), "--trainer.max_epochs", "1")
    assert "Trained 1 epoch " in again


def test_label_efficiency(folder: Path) -> None:
    first = start("label_efficiency", folder, "--split", "test", "--cpu")
    file = folder / "label_efficiency" / "fast" / "test.csv"
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    ways = {row["way"] for row in rows}
    kinds = ("linear", "k-NN", "fine-tuned", "propagated", "propagated and fine-tuned")
    assert ways == {"scratch", *(f"plain, {kind}" for kind in kinds)}
    assert {int(row["labels"]) for row in rows} == {10, 20, 464}
    assert len(rows) == 2 * (4 * 3 + 2 * 2)
    assert file.with_name("test-plain.png").exists()

    # A study that was stopped measures what is missing, and comes to the same; what other settings gave stays aside.
    *before, last = file.read_text().splitlines(keepends=True)
    other = last.replace("steps 3", "steps 4")
    assert other != last
    file.write_text("".join([*before, other]))
    again = start("label_efficiency", folder, "--split", "test", "--cpu")
    assert file.read_text() == "".join([*before, other, last])
    table, before_it = (text.splitlines()[-len(ways) - 1 : -1] for text in (again, first))
    assert [line.split()[0] for line in table] == [line.split()[0] for line in before_it]
    # What is exactly between two numbers of two digits may be rounded either way.
    values, values_before = (re.findall(r"\d+\.\d+", "\n".join(lines)) for lines in (table, before_it))
    assert [*map(float, values)] == pytest.approx([*map(float, values_before)], abs=0.0101)
    assert again.splitlines()[0] in first

    # Another study in the same folder shows what it was asked for.
    fewer = start("label_efficiency", folder, "--split", "test", "--cpu", "--labels", "20").splitlines()[:-1]
    assert len(fewer) == len(ways)
    assert all(line.count("+-") == 1 for line in fewer)
