"""Prediction on files."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from visiontasks import ClassificationTask, LocalizationTask
from visiontasks.data.images import read_image
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.prediction import Predictor, find_files, find_task, import_class


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Write pictures of several sizes and modes, and a broken one."""
    pictures = [
        Image.effect_noise((20, 20), 90).convert("RGB"),
        Image.effect_noise((31, 17), 90),
        Image.effect_noise((20, 20), 50).convert("CMYK"),
    ]
    paths = [tmp_path / "a b.png", tmp_path / "é.png", tmp_path / "c.jpg"]
    for picture, path in zip(pictures, paths, strict=True):
        picture.save(path)
    broken = tmp_path / "broken.png"
    broken.write_bytes(paths[0].read_bytes()[:40])
    return [paths[0], broken, *paths[1:]]


def make_task() -> ClassificationTask:
    """Create a small task that knows its image size."""
    options = {"filters": [4, 8], "depth": 1}
    return ClassificationTask(3, ["x", "y", "z"], image_size=(20, 20), backbone_options=options)


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_predictions_keep_the_order_and_name_the_broken_file(files: list[Path], batch_size: int) -> None:
    task = make_task()
    predictions = list(Predictor(task, "cpu").predict(files, batch_size))
    assert [prediction.file for prediction in predictions] == files
    assert predictions[1].error is not None
    assert "broken.png" in predictions[1].error
    task.eval()
    pixels = torch.frombuffer(bytearray(Image.open(files[0]).tobytes()), dtype=torch.uint8).reshape(1, 20, 20, 3)
    expected = task.predict(task(pixels.permute(0, 3, 1, 2)))
    assert predictions[0].labels == (expected.labels.item(),)
    assert predictions[0].scores == pytest.approx((expected.scores.item(),), abs=1e-6)
    assert predictions[0].class_names == ("xyz"[int(expected.labels)],)


def test_a_file_may_have_several_classes_or_none(files: list[Path]) -> None:
    options = {"filters": [4, 8], "depth": 1}
    task = ClassificationTask(
        3, ["x", "y", "z"], "multilabel", [0.9, 0.3, 0.1], image_size=(20, 20), backbone_options=options
    )
    task.head.linear.weight.data.zero_()
    for probabilities, found in (([0.8, 0.4, 0.6], ("z", "y")), ([0.8, 0.2, 0.05], ())):
        task.head.linear.bias.data.copy_(torch.tensor(probabilities).logit())
        (prediction,) = Predictor(task, "cpu").predict(files[:1])
        assert prediction.class_names == found
        assert prediction.labels == tuple("xyz".index(name) for name in found)
        assert prediction.scores == pytest.approx(tuple(probabilities["xyz".index(name)] for name in found))


def test_flips_of_the_task_are_averaged(files: list[Path]) -> None:
    options = {"filters": [4, 8], "depth": 1}
    task = ClassificationTask(3, image_size=(20, 20), test_time_flips="horizontal", backbone_options=options)
    mirrored = files[0].with_name("mirrored.png")
    Image.open(files[0]).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    one, other = Predictor(task, "cpu").predict([files[0], mirrored])
    assert one.labels == other.labels
    assert one.scores == pytest.approx(other.scores, abs=1e-6)
    task.test_time_flips = "none"
    one, other = Predictor(task, "cpu").predict([files[0], mirrored])
    assert one.scores != pytest.approx(other.scores, abs=1e-4)


def test_boxes_come_back_in_pixels_of_the_file(files: list[Path]) -> None:
    options = {"filters": [4, 8], "depth": 1}
    task = LocalizationTask(3, ["x", "y", "z"], image_size=(20, 40), backbone_options=options)
    predictions = list(Predictor(task, "cpu").predict(files))
    assert predictions[1].error is not None
    assert predictions[1].box is None
    for prediction, (width, height) in zip(
        [predictions[0], *predictions[2:]], ((20, 20), (31, 17), (20, 20)), strict=True
    ):
        pixels = read_image(prediction.file, 3, (20, 40))[None]
        x1, y1, x2, y2 = task.predict(task(pixels)).boxes[0].tolist()
        expected = (x1 * width / 40, y1 * height / 20, x2 * width / 40, y2 * height / 20)
        assert prediction.box == pytest.approx(expected, abs=1e-4)


def test_a_task_without_image_size_is_refused() -> None:
    with pytest.raises(ArgumentError, match="image size"):
        Predictor(ClassificationTask(3), "cpu")


def test_find_files(files: list[Path], tmp_path: Path) -> None:
    assert find_files([tmp_path]) == sorted(files)
    assert find_files([str(tmp_path / "*.jpg"), files[3]]) == [files[3]]
    with pytest.raises(ArgumentError, match="nowhere"):
        find_files([tmp_path / "nowhere"])


def test_find_task_looks_up_our_own_classes_only() -> None:
    assert find_task({"visiontasks": {"task": "ClassificationTask"}}, "x.ckpt") is ClassificationTask
    for record in ({}, {"task": "MyTask"}, {"task": "create_backbone"}, {"task": "Predictor"}, {"task": None}):
        with pytest.raises(CheckpointError, match=r"my_module\.MyTask"):
            find_task({"visiontasks": record}, "x.ckpt")


def test_import_class() -> None:
    assert import_class("pathlib.Path") is Path
    with pytest.raises(ArgumentError, match="no_such_module"):
        import_class("no_such_module.Class")
    with pytest.raises(ArgumentError, match="Did you mean 'Path'"):
        import_class("pathlib.Pathh")
