"""``check`` and ``show``, and ``fit`` on files, as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.datamodules.image_sets import write_coco, write_folders, write_table
from visiontasks import ClassificationTask, COCODataModule
from visiontasks.cli import main
from visiontasks.cli.training import run_recipe


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VISIONTASKS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def empty_box(root: Path) -> None:
    file = root / "annotations" / "instances_train.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"] = [3, 4, 0, 5]
    del content["annotations"][0]["segmentation"]  # which would tell the box
    file.write_text(json.dumps(content))


COCO = ["--data", "COCODataModule", "--data.root", "coco", "--data.num_workers", "0"]
SMALL = [
    *(
        "--data",
        "FolderDataModule",
        "--data.root",
        "folders",
        "--data.num_workers",
        "0",
        "--data.image_size",
        "[24,24]",
    ),
    *("--data.batch_size", "4", "--data.augmentation", "light", "--model.normalization", "dataset"),
    *("--model.backbone_options.filters", "[4,8]", "--model.backbone_options.depth", "1"),
    *("--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--trainer.max_epochs", "1"),
    *("--trainer.enable_model_summary", "false"),
]


def test_check_prints_problems_counts_and_sizes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco")
    assert main(["check", *COCO]) == 0
    assert "0 errors, 0 warnings." in capsys.readouterr().out
    empty_box(folder / "coco")
    assert main(["check", *COCO]) == 1
    printed = capsys.readouterr().out
    assert (
        "warning: box of zero area (1)\n  coco/annotations/instances_train.json | annotations[0] (id 0) | " in printed
    )
    assert "| [3, 4, 0, 5] in an image of 40 x 56 (height x width) | It was dropped.\n" in printed
    assert "height x width  40 x 48 to 56 x 56" not in printed
    (folder / "coco" / "val" / "2.png").write_bytes(b"no image")
    assert main(["check", *COCO]) == 2
    assert "error: image cannot be used (1)\n" in capsys.readouterr().out
    assert main(["check", *COCO, "--quick"]) == 1


def test_check_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_box(write_coco(folder / "coco"))
    assert main(["check", *COCO, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["exit_code"] == 1
    assert printed["splits"]["train"]["images"] == 12
    assert list(printed["splits"]["train"]["objects"]) == ["circle", "square", "triangle", "star"]
    (problem,) = printed["problems"]
    assert problem["kind"] == "box of zero area"


def test_check_and_show_take_the_configuration_of_a_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(folder / "folders", 4)
    assert main(["fit", *SMALL, "--data.augmentation", "strong", "--seed_everything", "7"]) == 0
    config = ["--config", "runs/fit/version_0/config.yaml"]
    assert main(["check", *config]) == 0
    assert main(["show", *config, "--output", "seven.png"]) == 0
    for name, flags in {"given": ["--data.seed", "7"], "other": ["--data.seed", "8"]}.items():
        flags += ["--data.augmentation", "strong", "--output", f"{name}.png"]
        assert main(["show", *SMALL[:8], *flags]) == 0
    assert (folder / "seven.png").read_bytes() == (folder / "given.png").read_bytes()
    assert (folder / "seven.png").read_bytes() != (folder / "other.png").read_bytes()
    capsys.readouterr()
    # Flags win, another data module too.
    assert main(["show", *config, "--data.augmentation", "none", "--output", "plain.png"]) == 0
    assert '"transforms": []' in capsys.readouterr().out
    write_coco(folder / "coco", 4)
    assert main(["check", *config, *COCO]) == 0


def test_a_recipe_leaves_the_data_module_to_a_flag(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco", 4)
    (folder / "recipe.yaml").write_text("data: {root: coco, num_workers: 0}\nseed_everything: true\n")
    assert main(["check", "--config=recipe.yaml"]) == 2
    assert "does not say which data module its data are for: add --data CLASS." in capsys.readouterr().err
    assert main(["check", "--config=recipe.yaml", "--data", "COCODataModule"]) == 0
    (folder / "short.yaml").write_text("data: COCODataModule\n")
    assert main(["check", "--config=short.yaml", *COCO[2:]]) == 0


MESSAGES = {
    "check --config gone.yaml": "error: --config gone.yaml cannot be read as YAML: [Errno 2] No such file",
    "check --config coco/val/0.png": "error: --config coco/val/0.png cannot be read as YAML: ",
    "show --config coco/annotations/instances_val.json": (
        "error: --config coco/annotations/instances_val.json has no section 'data'; expected one"
    ),
    "check --data COCODataModul": "error: --data COCODataModul: unknown. Did you mean 'COCODataModule'",
    "check --data COCODataModule --data.root nowhere": "error: root 'nowhere' does not exist; expected a folder.",
    "check --data COCODataModule --data.rot x": (
        "error: --data.rot: COCODataModule has no argument 'rot'. Did you mean '--data.root'?"
    ),
    "show --data COCODataModule --data.task detecton": "error: --data.task detecton: unknown. Did you mean 'detection'",
    "show --data COCODataModule --data.root coco --n 0": "error: --n is 0; expected at least 1.",
    "show --output samples": "error: 'samples' is not the name of a picture file; expected one that ends in .png",
    "fit --data COCODataModule --data.root coco": (
        "error: COCODataModule yields batches of detection, ClassificationTask takes classification."
    ),
    "fit --data COCODataModule --data.root coco --data.task classification": (
        "error: COCODataModule yields batches of multilabel classification, ClassificationTask takes classification."
    ),
    "fit --data FolderDataModule --data.root coco/val": "error: 'coco/val' holds none of these layouts:",
}


@pytest.mark.parametrize("command", MESSAGES)
def test_wrong_input_gives_one_readable_message(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco")
    assert main(command.split()) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(MESSAGES[command])
    assert "Traceback" not in printed
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("options", [[], ["--raw"], ["--split", "val"]])
def test_show_draws_boxes_where_objects_are(
    options: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(folder / "coco")
    assert main(["show", *COCO, "--n", "4", "--output", "out/some.png", *options]) == 0
    printed = capsys.readouterr().out
    assert ("HorizontalFlip" in printed) == (options == [])
    picture = np.array(Image.open(folder / "out" / "some.png"))
    assert picture.shape == (352, 4 * 326 + 6, 3)
    assert (folder / "out" / "some_classes.png").exists()
    assert (folder / "out" / "some_boxes.png").exists()


def test_a_folder_trains_and_predicts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(folder / "folders")
    assert main(["fit", *SMALL]) == 0
    printed = capsys.readouterr().out
    assert "Data read: 12 training and 12 validation images.\n" in printed
    last = "runs/fit/version_0/checkpoints/last.ckpt"
    assert main(["predict", last, "folders/test"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 13
    assert rows[1].split(",")[2] in ("circle", "square", "star", "triangle")


def test_fit_says_what_was_dropped_and_refuses_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folders(folder / "folders")
    (folder / "folders" / "train" / "empty").mkdir()
    (folder / "folders" / "val" / "empty").mkdir()
    assert main(["fit", *SMALL]) == 0
    assert "; 2 x class without images (visiontasks check lists them).\n" in capsys.readouterr().out
    (folder / "folders" / "val" / "other").mkdir()
    Image.new("RGB", (20, 20)).save(folder / "folders" / "val" / "other" / "x.png")
    assert main(["fit", *SMALL]) == 2
    assert "1 x unknown class" in capsys.readouterr().err


def test_fit_refuses_what_the_task_cannot_use(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_table(folder / "folders", boxes=False) / "labels.csv"
    file.write_text(file.read_text().replace("0.png,circle", "0.png,"))
    assert main(["fit", "--data", "CSVDataModule", *SMALL[2:]]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: 1 error in the annotations (1 x image without class):\n")
    assert "folders/pictures/0.png, train: image without class. Leave it out, or train multilabel." in printed
    assert not list(folder.rglob("*.ckpt"))


def test_a_recipe_finds_a_missing_test_split_before_it_trains(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(folder / "coco", 4)
    words = ["--data.root", "coco", "--data.task", "classification", "--data.test", "gone.json", *SMALL[4:]]
    with pytest.raises(SystemExit) as ended:
        run_recipe("cocos", ClassificationTask, COCODataModule, {"model.mode": "multilabel"}, words)
    assert ended.value.code == 2
    assert "test is 'gone.json', but there is no file" in capsys.readouterr().err
    assert not list(folder.rglob("*.ckpt"))
