import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer

from tests.data.datamodules.image_sets import write_coco
from visiontasks import ClassificationTask, DetectionTask, ShapesDataModule
from visiontasks.cli import main
from visiontasks.data.images.reading import read_image
from visiontasks.data.index.proposal_files import ProposalFile

SHAPES = ["--data", "ShapesDataModule", "--data.task", "detection", "--data.train_size", "3", "--data.val_size", "2"]

SMALL: dict[str, Any] = {
    "backbone_options": {"filters": [4, 8, 8], "depth": 1},
    "fpn_width": 8,
    "head_width": 16,
    "rpn_post_nms_top_n": (20, 20),
}


def propose(*words: str) -> int:
    return main(["propose", *words, "--workers", "1", "--mode", "single"])


def test_shapes_get_proposals_which_fit_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "shapes.npy")
    more = ["--data.test_size", "1", "--output", path, "--count", "50"]
    assert propose(*SHAPES, *more) == 0
    assert "6 images, 6 to do" in capsys.readouterr().out
    assert propose(*SHAPES, *more) == 0
    printed = capsys.readouterr().out
    assert "6 images, 0 to do" in printed
    assert "train: recall_50_100 " in printed
    file = ProposalFile(path)
    assert [name.partition("/")[2] for name in file.images] == ["0", "1", "2", "0", "1", "0"]
    assert all(len(file.boxes(row)) > 3 for row in range(6))


def test_files_get_proposals(tmp_path: Path) -> None:
    write_coco(tmp_path)
    words = ["--data", "COCODataModule", "--data.root", str(tmp_path), "--data.task", "detection"]
    assert propose(*words, "--output", str(tmp_path / "found.npy"), "--splits", '["train"]') == 0
    file = ProposalFile(tmp_path / "found.npy")
    assert not file.missing()
    assert not np.isnan(file.array).any()
    # The search sees the colours, whatever the network of these data is to see.
    grey = ["--splits", '["train"]', "--data.in_channels", "1"]
    assert propose(*words, "--output", str(tmp_path / "gray.npy"), *grey) == 0
    assert np.array_equal(ProposalFile(tmp_path / "gray.npy").array, file.array)


@pytest.fixture
def checkpoint(make_trainer: Callable[..., Trainer], tmp_path: Path) -> Path:
    """A detector of shapes."""
    trainer = make_trainer(max_steps=1)
    data = ShapesDataModule("detection", train_size=2, val_size=1, batch_size=2)
    trainer.fit(DetectionTask(4, **SMALL), datamodule=data)
    trainer.save_checkpoint(tmp_path / "detector.ckpt")
    return tmp_path / "detector.ckpt"


class MyDetector(DetectionTask):
    """A detector of a user."""


def test_a_detector_of_ones_own_proposes(
    make_trainer: Callable[..., Trainer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(max_steps=1)
    data = ShapesDataModule("detection", train_size=2, val_size=1, batch_size=2)
    trainer.fit(MyDetector(4, **SMALL), datamodule=data)
    trainer.save_checkpoint(tmp_path / "mine.ckpt")
    words = [*SHAPES, "--data.test_size", "1", "--output", str(tmp_path / "x.npy")]
    words += ["--checkpoint", str(tmp_path / "mine.ckpt")]
    assert propose(*words) == 2
    assert "not a task of this library" in capsys.readouterr().err
    assert propose(*words, "--task", "pathlib.Path") == 2
    assert "is not a subclass of visiontasks.DetectionTask" in capsys.readouterr().err
    assert propose(*words, "--task", f"{__name__}.MyDetector") == 0


@pytest.mark.parametrize("learnt", [False, True])
def test_a_file_that_is_left_out_has_no_proposals(
    learnt: bool, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path / "data", count=3)
    for split in ("train", "val"):
        (tmp_path / "data" / split / "1.png").write_bytes(b"")
    words = ["--data", "COCODataModule", "--data.root", str(tmp_path / "data"), "--data.task", "detection"]
    words += ["--output", str(tmp_path / "found.npy"), "--data.image_size", "[48, 48]"]
    words += ["--checkpoint", str(checkpoint)] if learnt else []
    assert propose(*words, "--data.on_error", "skip") == 0
    file = ProposalFile(tmp_path / "found.npy")
    # The validation split stands in for the test split.
    assert [len(file.boxes(row)) > 0 for row in range(6)] == [True, False, True] * 2
    printed = capsys.readouterr().out
    assert re.findall(r"(\w+): recall", printed) == ["train", "val", "test"]
    assert "nan" not in printed


def test_another_checkpoint_of_the_same_name_is_another_method(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SHAPES, "--data.test_size", "1", "--output", str(tmp_path / "x.npy"), "--checkpoint", str(checkpoint)]
    assert propose(*words) == 0
    assert propose(*words) == 0
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["neck.layer_blocks.0.0.bias"] += 1
    torch.save(content, checkpoint)
    assert propose(*words) == 2
    assert "made in another way" in capsys.readouterr().err


def test_a_run_folder_is_read_once(checkpoint: Path, reads: list[str]) -> None:
    words = [*SHAPES, "--data.test_size", "1", "--output", str(checkpoint.with_name("x.npy"))]
    assert propose(*words, "--checkpoint", str(checkpoint.parent)) == 0
    assert reads == ["detector.ckpt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([*SHAPES, "--splits", '["training"]'], r"splits is \['training'\]; expected some of train, val, test"),
        (["--data", "ShapesDataModule"], "yields classification; expected detection"),
        ([*SHAPES, "--checkpoint", "gone.ckpt"], "There is no checkpoint 'gone.ckpt'"),
    ],
)
def test_what_cannot_work_is_an_error(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert propose(*words, "--output", str(tmp_path / "x.npy")) == 2
    assert not (tmp_path / "x.npy").exists()
    assert re.search(message, capsys.readouterr().err)


def test_a_checkpoint_without_a_network_of_proposals_is_refused(
    make_trainer: Callable[..., Trainer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = make_trainer(max_steps=1)
    classifier = ClassificationTask(4, backbone_options={"filters": [4], "depth": 1})
    trainer.fit(classifier, datamodule=ShapesDataModule(train_size=2, val_size=1, batch_size=2))
    trainer.save_checkpoint(tmp_path / "classifier.ckpt")
    assert propose(*SHAPES, "--output", str(tmp_path / "x.npy"), "--checkpoint", str(tmp_path / "classifier.ckpt")) == 2
    assert "holds a ClassificationTask without a network of proposals" in capsys.readouterr().err


def test_every_option_of_the_search_reaches_what_it_names(
    tmp_path: Path, calls: Callable[[str, str], list[dict[str, Any]]]
) -> None:
    searched = calls("visiontasks.cli.propose", "selective_search")
    options = ["--mode", "single", "--least", "17", "--count", "4", "--splits", '["val"]', "--workers", "1"]
    assert main(["propose", *SHAPES, "--output", str(tmp_path / "x.npy"), *options]) == 0
    assert [(call["mode"], call["least"], call["seed"]) for call in searched] == [
        ("single", 17, 0),
        ("single", 17, 1),
    ]
    file = ProposalFile(tmp_path / "x.npy")
    assert file.array.shape == (2, 4, 4)
    assert file.method == {"name": "selective-search", "mode": "single", "least": 17}


def test_the_network_sees_images_as_in_its_training(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path / "data", 2)
    words = ["--data", "COCODataModule", "--data.root", str(tmp_path / "data"), "--data.task", "detection"]
    words += ["--checkpoint", str(checkpoint), "--splits", '["val"]', "--count", "30"]
    assert propose(*words, "--output", str(tmp_path / "trained.npy")) == 0
    assert propose(*words, "--output", str(tmp_path / "wide.npy"), "--image_size", "[64, 96]") == 0
    task = DetectionTask.load_from_checkpoint(checkpoint).eval()
    for name, size in (("trained", (64, 64)), ("wide", (64, 96))):
        file = ProposalFile(tmp_path / f"{name}.npy")
        assert file.method["view"] == {"policy": "Stretch", "size": list(size), "multiple": 1}
        for row in range(2):
            image = read_image(tmp_path / "data" / "val" / f"{row}.png")
            height, width = image.shape[1:]
            with torch.no_grad():
                batch = read_image(tmp_path / "data" / "val" / f"{row}.png", 3, size)[None]
                expected = task(batch, torch.tensor([size])).proposals[0]
            expected = expected[(expected[:, 2:] > expected[:, :2]).all(1)][:30]
            expected = expected * torch.tensor([width / size[1], height / size[0]] * 2)
            np.testing.assert_allclose(file.boxes(row), expected.numpy(), rtol=1e-4, atol=0.02)
    assert main(["propose", *SHAPES, "--output", str(tmp_path / "x.npy"), "--image_size", "[64, 64]"]) == 2
    assert "give its --checkpoint" in capsys.readouterr().err


def test_an_unreadable_file_ends_the_search_unless_it_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_coco(tmp_path / "data", count=2)
    (tmp_path / "data" / "val" / "1.png").write_bytes(b"")
    words = ["--data", "COCODataModule", "--data.root", str(tmp_path / "data"), "--data.task", "detection"]
    assert propose(*words, "--output", str(tmp_path / "x.npy"), "--splits", '["val"]') != 0
    assert "1.png" in capsys.readouterr().err


def test_objects_that_are_ignored_need_no_proposals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_coco(tmp_path, count=2)
    file = tmp_path / "annotations" / "instances_val.json"
    content = json.loads(file.read_text())
    # A crowd that no proposal covers.
    crowd = {"segmentation": {"size": [40, 56], "counts": [0, 4, 2236]}, "bbox": [0, 0, 1, 4], "area": 4}
    content["annotations"].append({**crowd, "id": 900, "image_id": 5, "category_id": 3, "iscrowd": 1})
    words = ["--data", "COCODataModule", "--data.root", str(tmp_path), "--data.task", "detection"]
    printed = []
    for name in ("without", "with"):
        assert propose(*words, "--output", str(tmp_path / f"{name}.npy"), "--splits", '["val"]') == 0
        printed.append(re.findall(r"val: .*", capsys.readouterr().out))
        file.write_text(json.dumps(content))
    assert printed[0] == printed[1]
