"""Masks of large images, window by window."""

import subprocess
import sys
from typing import Any

import pytest
import torch

from tests.prediction.small_tasks import SMALL
from visiontasks import SegmentationTask
from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Whole
from visiontasks.prediction import create_predictor, predict_images
from visiontasks.prediction.mask_predictor import MaskPredictor

VIEW = EvaluationView(Whole())


@pytest.mark.parametrize(("mode", "classes", "shape"), [("binary", 2, ()), ("multilabel", 3, (3,))])
def test_windows_decide_as_the_whole_image(mode: str, classes: int, shape: tuple[int, ...]) -> None:
    task = SegmentationTask(classes, mode=mode, backbone_options=SMALL).eval()  # type: ignore[arg-type]  # one of the modes
    image = torch.randint(256, (3, 120, 90), dtype=torch.uint8)
    whole = MaskPredictor(task, VIEW).segment(image)
    parts = MaskPredictor(task, VIEW, window=(64, 64), overlap=0.5).segment(image)
    assert whole.shape == parts.shape == (*shape, 120, 90)
    # The receptive field is wider than an overlap's quarter for a few pixels only.
    assert (whole == parts).float().mean() > 0.98


def test_images_and_windows_of_one_size_are_computed_at_once() -> None:
    task = SegmentationTask(3, backbone_options=SMALL).eval()
    counts: list[int] = []
    task.register_forward_pre_hook(lambda module, inputs: counts.append(len(inputs[0])))
    images = [torch.randint(256, (3, *size), dtype=torch.uint8) for size in [(48, 40)] * 3 + [(40, 48)] * 2]
    together = list(predict_images(create_predictor(task), images, batch_size=4))
    assert counts == [3, 1, 1]
    for one, image in zip(together, images, strict=True):
        assert one.mask is not None
        assert torch.equal(one.mask, MaskPredictor(task, VIEW).segment(image))
    counts.clear()
    predictor = create_predictor(task, window=(32, 32), overlap=0.0, windows_at_once=2)
    (windowed,) = predict_images(predictor, [torch.zeros(3, 64, 96, dtype=torch.uint8)])
    assert counts == [2, 1] * 2
    assert windowed.mask is not None


def test_options_of_a_predictor_do_not_change_the_task() -> None:
    task = SegmentationTask(3, backbone_options=SMALL).eval()
    image = torch.randint(256, (3, 48, 40), dtype=torch.uint8)
    options: dict[str, Any] = {"test_time_flips": "horizontal", "test_time_scales": [1.0, 1.5]}
    averaged = SegmentationTask(3, backbone_options=SMALL, **options).eval()
    averaged.load_state_dict(task.state_dict())
    found = MaskPredictor(task, VIEW, flips="horizontal", scales=[1.0, 1.5]).segment(image)
    assert (task.test_time_flips, task.test_time_scales) == ("none", (1.0,))
    assert torch.equal(found, MaskPredictor(averaged, VIEW).segment(image))
    assert torch.equal(
        MaskPredictor(averaged, VIEW, flips="none", scales=[1.0]).segment(image),
        MaskPredictor(task, VIEW).segment(image),
    )


@pytest.mark.slow
def test_an_image_of_10_000_by_10_000_is_segmented_in_bounded_memory() -> None:
    code = """
import resource, torch
from visiontasks import SegmentationTask
from visiontasks.prediction import create_predictor
torch.set_num_threads(1)
task = SegmentationTask(12, backbone_options={"filters": [2, 4], "depth": 1}, decoder_options={"widths": [4]}).eval()
predictor = create_predictor(task, window=(512, 512), overlap=0.25)
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


def test_windows_begin_at_multiples_of_the_coarsest_stride() -> None:
    task = SegmentationTask(3, backbone_options={"filters": [4, 4, 4, 4], "depth": 1}).eval()
    assert max(task.backbone.strides) == 16
    starts: list[int] = []
    image = torch.arange(200, dtype=torch.uint8).expand(3, 40, 200)
    task.register_forward_pre_hook(lambda module, inputs: starts.append(int(inputs[0][0, 0, 0, 0])))
    MaskPredictor(task, VIEW, window=(40, 60), overlap=0.3).segment(image)
    assert len(starts) > 3
    assert all(start % 16 == 0 for start in starts)
