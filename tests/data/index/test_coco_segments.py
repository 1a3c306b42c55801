import re
from pathlib import Path

import pytest

from tests.data.index.coco_writer import Content, only, parse, small_set
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


def test_compressed_runs_of_another_size_are_named(tmp_path: Path) -> None:
    content = broken_segment({"counts": "`0", "size": [40, 60]})
    index, problems = parse(tmp_path, content)
    assert problems == []
    with pytest.raises(DataError, match=re.escape("a b.jpg: run lengths do not fill its 40 x 60 pixels")):
        index.instance_masks(0)
