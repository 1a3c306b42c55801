"""Masks of large images, window by window."""

import subprocess
import sys

import pytest
import torch

from tests.prediction.small_tasks import SMALL
from visiontasks import SegmentationTask
from visiontasks.prediction.masks import MaskPredictor


@pytest.mark.parametrize(("mode", "classes", "shape"), [("binary", 2, ()), ("multilabel", 3, (3,))])
def test_windows_decide_as_the_whole_image(mode: str, classes: int, shape: tuple[int, ...]) -> None:
    task = SegmentationTask(classes, mode=mode, backbone_options=SMALL).eval()  # type: ignore[arg-type]  # one of the modes
    image = torch.randint(256, (3, 120, 90), dtype=torch.uint8)
    whole = MaskPredictor(task).segment(image)
    parts = MaskPredictor(task, window=(64, 64), overlap=0.5).segment(image)
    assert whole.shape == parts.shape == (*shape, 120, 90)
    # The receptive field is wider than an overlap's quarter for a few pixels only.
    assert (whole == parts).float().mean() > 0.98


@pytest.mark.slow
def test_an_image_of_10_000_by_10_000_is_segmented_in_bounded_memory() -> None:
    code = """
import resource, torch
from visiontasks import SegmentationTask
from visiontasks.prediction.masks import MaskPredictor
torch.set_num_threads(1)
task = SegmentationTask(12, backbone_options={"filters": [2, 4], "depth": 1}, decoder_options={"widths": [4]}).eval()
predictor = MaskPredictor(task, window=(512, 512), overlap=0.25)
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
