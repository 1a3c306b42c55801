import re
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.data.index.coco_writer import Content, only, parse, small_set
from visiontasks.data.index.coco_segments import _total
from visiontasks.errors import DataError


def broken_segment(segmentation: object) -> Content:
    content = small_set()
    content["annotations"][4]["segmentation"] = segmentation
    return content


@pytest.mark.parametrize(
    ("segmentation", "severity", "kind"),
    [
        ("polygon", "error", "malformed segmentation"),
        ([["1", 2, 3, 4, 5, 6]], "error", "malformed segmentation"),
        ([[1, 2, 3, 4, 5, 6, 7]], "error", "polygon with an odd number of coordinates"),
        ([[1, 2, 3, 4]], "warning", "polygon of fewer than three points"),
        ({"counts": [10, 5], "size": [40, 60]}, "error", "run lengths do not fill their image"),
        ({"counts": [3000], "size": [50, 60]}, "error", "size of the run lengths differs from the image's"),
        ([], "warning", "object without segmentation"),
        (None, "warning", "object without segmentation"),
    ],
)
def test_segments_that_are_wrong(tmp_path: Path, segmentation: object, severity: str, kind: str) -> None:
    index, problems = parse(tmp_path, broken_segment(segmentation))
    problem = only(problems)
    assert (problem.severity, problem.kind, problem.record) == (severity, kind, "annotations[4] (id 9)")
    assert not index.instance_masks(0)[3].any()
    assert index.instance_masks(0)[1].any()


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (40, 60), (480, 640)])
def test_the_total_of_run_lengths_is_the_size_of_their_mask(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    for density in (0, 0.001, 0.1, 0.5, 1):
        for mask in (rng.random(shape) < density, np.cumsum(rng.normal(size=shape), axis=0) > density):
            runs = coco_mask.encode(np.asfortranarray(mask, np.uint8))["counts"].decode()
            assert _total(runs) == shape[0] * shape[1]


@pytest.mark.parametrize("runs", ["`0", "", "~", "é", "`" * 20 + "0"])
def test_compressed_runs_that_cannot_be_are_errors(tmp_path: Path, runs: str) -> None:
    _, problems = parse(tmp_path, broken_segment({"counts": runs, "size": [40, 60]}))
    problem = only(problems)
    assert (problem.severity, problem.kind) == ("error", "run lengths do not fill their image")


def test_a_size_that_does_not_fit_the_runs_is_an_error(tmp_path: Path) -> None:
    index, _ = parse(tmp_path, small_set())
    with pytest.raises(DataError, match=re.escape("a b.jpg: run lengths do not fill its 20 x 20 pixels")):
        index.instance_masks(0, (20, 20))
