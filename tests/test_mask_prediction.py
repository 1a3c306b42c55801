"""Masks of image files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from torch.utils.data import DataLoader

from visiontasks import SegmentationBatch, SegmentationTask
from visiontasks.cli import main
from visiontasks.data.masks import read_mask
from visiontasks.errors import ArgumentError
from visiontasks.mask_prediction import MaskPredictor
from visiontasks.visualization import voc_color_map

SMALL = {"filters": [4, 8], "depth": 1}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Write pictures of several sizes and modes, and a broken one."""
    paths = [tmp_path / "in" / name for name in ("a b.png", "broken.png", "é.png", "deeper/c.jpg")]
    paths[3].parent.mkdir(parents=True)
    Image.effect_noise((21, 33), 90).convert("RGB").save(paths[0])
    paths[1].write_bytes(paths[0].read_bytes()[:40])
    Image.effect_noise((31, 17), 90).save(paths[2])
    turned = Image.effect_noise((40, 24), 90).convert("RGB")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(paths[3], exif=exif)
    return paths


def make_task(mode: str = "multiclass", classes: int = 3) -> SegmentationTask:
    return SegmentationTask(classes, ["x", "y", "z"][:classes], mode=mode, backbone_options=SMALL)  # type: ignore[arg-type]


def test_masks_have_the_size_of_the_image_and_the_broken_file_is_named(files: list[Path]) -> None:
    task = make_task()
    predictions = list(MaskPredictor(task, device="cpu").predict(files))
    assert [prediction.file for prediction in predictions] == files
    assert predictions[1].error is not None
    assert "broken.png" in predictions[1].error
    shapes = [None if p.labels is None else tuple(p.labels.shape) for p in predictions]
    assert shapes == [(33, 21), None, (17, 31), (40, 24)]  # the last one is displayed upright
    with Image.open(files[0]) as image:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    with torch.no_grad():
        expected = task.eval().predict(task(pixels[None])).labels[0]
    assert predictions[0].labels is not None
    assert torch.equal(predictions[0].labels, expected)


@pytest.mark.parametrize(("mode", "classes", "shape"), [("binary", 2, ()), ("multilabel", 3, (3,))])
def test_windows_decide_as_the_whole_image(mode: str, classes: int, shape: tuple[int, ...]) -> None:
    task = make_task(mode, classes)
    image = torch.randint(256, (3, 120, 90), dtype=torch.uint8)
    whole = MaskPredictor(task, device="cpu").segment(image)
    parts = MaskPredictor(task, window=(64, 64), overlap=0.5, device="cpu").segment(image)
    assert whole.shape == parts.shape == (*shape, 120, 90)
    # The receptive field is wider than an overlap's quarter for a few pixels only.
    assert (whole == parts).float().mean() > 0.98


@pytest.mark.slow
def test_an_image_of_10_000_by_10_000_is_segmented_in_bounded_memory() -> None:
    import subprocess
    import sys

    code = """
import resource, torch
from visiontasks import SegmentationTask
from visiontasks.mask_prediction import MaskPredictor
torch.set_num_threads(1)
task = SegmentationTask(12, backbone_options={"filters": [2, 4], "depth": 1}, decoder_options={"widths": [4]})
predictor = MaskPredictor(task, window=(512, 512), overlap=0.25, device="cpu")
predictor.segment(torch.zeros(3, 600, 600, dtype=torch.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image = torch.randint(256, (3, 10_000, 10_000), dtype=torch.uint8)
labels = predictor.segment(image)
assert labels.shape == (10_000, 10_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    # The image 286 MB, the result 95, probabilities of a row of windows and what is left of the one before 2 x 245;
    # those of the whole image would be 4,578.
    assert float(run.stdout) < 1200


def test_the_command_writes_masks_and_overlays(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
    images, masks = torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.zeros(1, 16, 16, dtype=torch.uint8)
    batch = SegmentationBatch(images, masks, torch.tensor([[16, 16]]), torch.ones(1, 2), torch.arange(1))
    trainer.validate(make_task(), DataLoader([batch], batch_size=None), verbose=False)  # type: ignore[arg-type]  # a list
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    folder = tmp_path / "out"
    arguments = ["predict", str(tmp_path / "x.ckpt"), str(tmp_path / "in"), "-o", str(folder), "--overlays"]
    assert main([*arguments, "--window", "32", "32", "--flip", "--scales", "1", "0.5", "--device", "cpu"]) == 1
    assert "broken.png" in capsys.readouterr().err
    names = ["a b.png", "deeper/c.png", "é.png"]
    for name, size in zip(names, [(33, 21), (40, 24), (17, 31)], strict=True):
        with Image.open(folder / name) as mask:
            assert mask.mode == "P"
            assert np.array_equal(np.array(mask.getpalette()).reshape(-1, 3), voc_color_map())
        values = read_mask(folder / name)
        assert values.shape == size
        assert set(np.unique(values)) <= {0, 1, 2}
        with Image.open(folder / "overlays" / name) as picture:
            assert picture.size == size[::-1]
    assert main(arguments[:3]) == 2
    assert "give a folder to write into" in capsys.readouterr().err


def test_a_multilabel_task_writes_a_mask_for_each_class(files: list[Path], tmp_path: Path) -> None:
    predictor = MaskPredictor(make_task("multilabel"), device="cpu")
    (prediction,) = predictor.predict(files[:1])
    written = predictor.save(prediction, tmp_path / "m" / "a.png", tmp_path / "m" / "o.png")
    assert [file.name for file in written] == ["a_x.png", "a_y.png", "a_z.png", "o.png"]
    assert prediction.labels is not None
    for file, layer in zip(written, prediction.labels, strict=False):
        assert np.array_equal(read_mask(file), layer.numpy())


@pytest.mark.parametrize(
    ("options", "message"), [({"batch_size": 0}, "batch_size is 0"), ({"scales": []}, "scales is")]
)
def test_wrong_options_are_an_error(options: dict[str, int], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        MaskPredictor(make_task(), **options)  # type: ignore[arg-type]  # on purpose
