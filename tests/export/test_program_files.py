"""Exported files; the run-time checks of jaxtyping, which tracing does not see through, are off here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from tests.detection.scenes import random_boxes
from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    InstanceSegmentationTask,
    LocalizationTask,
    SegmentationTask,
    Task,
)
from visiontasks.detection.nms import suppress
from visiontasks.detection.operators import keep_operators
from visiontasks.detection.roi_align import assign_levels, roi_align
from visiontasks.errors import ArgumentError, ExportError
from visiontasks.export import export_task, program_files
from visiontasks.export.parity import compare, named
from visiontasks.prediction.predictors import make_program
from visiontasks.prediction.programs import Program

pytestmark = pytest.mark.unchecked

SMALL: dict[str, Any] = {"backbone_options": {"filters": [4, 8, 8], "depth": 1}}
NAMES = ["circle", "square", "star"]
TASKS: dict[str, Callable[[], Task]] = {
    "multiclass": lambda: ClassificationTask(3, class_names=NAMES, test_time_flips="horizontal", **SMALL),
    "multilabel": lambda: ClassificationTask(3, mode="multilabel", **SMALL),
    "binary": lambda: ClassificationTask(2, mode="binary", thresholds=0.3, **SMALL),
    "localization": lambda: LocalizationTask(3, class_agnostic=False, **SMALL),
    "segmentation": lambda: SegmentationTask(3, test_time_flips="horizontal", **SMALL),
    "autoencoding": lambda: AutoencodingTask(6, image_size=(40, 56), **SMALL),
    "detection": lambda: DetectionTask(
        3, neck="none", head_width=16, box_score_thresh=0.3, rpn_pre_nms_top_n=(50, 50), **SMALL
    ),
    "instances": lambda: InstanceSegmentationTask(
        3,
        fpn_width=8,
        head_width=16,
        mask_widths=(8, 8),
        box_score_thresh=0.3,
        box_detections_per_img=10,
        rpn_pre_nms_top_n=(50, 50),
        cascade=True,
        arithmetic="detectron2",
        **SMALL,
    ),
    "detection-fpn": lambda: DetectionTask(3, fpn_width=8, head_width=16, box_score_thresh=0.3, **SMALL),
}


def run_onnx(path: Path, program: Program, inputs: tuple[Tensor, ...]) -> dict[str, Tensor]:
    session = onnxruntime.InferenceSession(path)
    assert [given.name for given in session.get_inputs()] == list(program.inputs)
    assert [result.name for result in session.get_outputs()] == list(program.outputs)
    given = {name: value.numpy() for name, value in zip(program.inputs, inputs, strict=True)}
    return named(program.outputs, [torch.from_numpy(found) for found in session.run(None, given)])


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "detection-fpn" else kind for kind in TASKS]
)
def test_a_file_gives_what_the_task_predicts(kind: str, suffix: str, tmp_path: Path) -> None:
    task = TASKS[kind]().train()
    done = export_task(task, tmp_path / f"new/a{suffix}", image_size=(40, 56))
    assert all(module.training for module in task.modules())
    assert [file.name for file in done.file.parent.iterdir()] == [f"a{suffix}"]
    program = make_program(task, (40, 56))
    inputs = (torch.randint(256, (5, 3, 40, 56), dtype=torch.uint8), *program.example(5)[1:])
    if suffix == ".onnx":
        found = run_onnx(done.file, program, inputs)
        metadata = onnxruntime.InferenceSession(done.file).get_modelmeta().custom_metadata_map
        assert json.loads(metadata["class_names"]) == task.class_names
        assert json.loads(metadata["image_size"]) == [40, 56]
        assert metadata["task"] == type(task).__name__
    else:
        extra = {"visiontasks.json": ""}
        exported = torch.export.load(done.file, extra_files=extra).module()
        found = named(program.outputs, exported(*inputs))
        assert json.loads(extra["visiontasks.json"]) == done.metadata
    with torch.inference_mode():
        expected = named(program.outputs, program.reference(*inputs))
    compare(expected, found, "a", task.roi_head.score_thresh if isinstance(task, DetectionTask) else None)


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_program(ClassificationTask(3, **SMALL), (16, 16))
    export = program_files._exported
    monkeypatch.setattr(program_files, "_exported", lambda program: export(other))
    (tmp_path / "a.onnx").write_text("previous")
    with pytest.raises(ExportError, match=r"'a\.onnx' computes other"):
        export_task(ClassificationTask(3, **SMALL), tmp_path / "a.onnx", (16, 16))
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    assert (tmp_path / "a.onnx").read_text() == "previous"


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name!r}")  # noqa: TRY003, EM102 (what Python says)

    monkeypatch.setattr(program_files, "import_module", missing)
    with pytest.raises(ExportError, match=r"ONNX files need onnx, .* Install visiontasks\[export\]"):
        export_task(ClassificationTask(3, **SMALL), tmp_path / "a.onnx", (16, 16))


@pytest.mark.parametrize(
    ("name", "size", "message"), [("a.pb", (16, 16), "not a kind of file"), ("a.onnx", None, "image_size")]
)
def test_what_is_missing_is_said(name: str, size: tuple[int, int] | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=message):
        export_task(ClassificationTask(3, **SMALL), tmp_path / name, size)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_weights_of_another_precision_are_refused(kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    task = ClassificationTask(3, **SMALL).to(kind)
    name = str(kind).removeprefix("torch.")
    message = rf"weights of the task are {name}; a file computes in float32: .*task.float\(\)"
    with pytest.raises(ExportError, match=message):
        export_task(task, tmp_path / f"a{suffix}", 16)
    assert not [*tmp_path.iterdir()]
    assert export_task(task.float(), tmp_path / "a.pt2", 16).metadata["image_size"] == [16, 16]


def test_a_task_that_cannot_be_traced_is_an_error(tmp_path: Path) -> None:
    class Untraceable(ClassificationTask):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) if images.sum().item() < 1 else super().forward(images + 1)

    with pytest.raises(ExportError, match="Untraceable with this backbone cannot be exported"):
        export_task(Untraceable(3, **SMALL), tmp_path / "a.onnx", (16, 16))


@pytest.mark.parametrize("labelled", [False, True])
def test_suppression_in_onnx_is_that_of_torch(labelled: bool, tmp_path: Path) -> None:
    class Suppression(nn.Module):
        def forward(self, boxes: Tensor, valid: Tensor, labels: Tensor) -> Tensor:
            return suppress(boxes, valid, 0.5, labels if labelled else None) & (labels >= 0)

    boxes = random_boxes(3, 600, side=120.0, least=20.0)
    given = boxes, torch.rand(3, 600) < 0.9, torch.randint(4, (3, 600))
    with keep_operators():
        traced = torch.export.export(Suppression(), given)
    names = ["boxes", "valid", "labels"]
    program_files.to_onnx(traced, names, ["keep"]).save(tmp_path / "keep.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "keep.onnx")
    (keep,) = session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})
    assert torch.equal(torch.from_numpy(keep), Suppression()(*given))
    assert 0 < keep.sum() < keep.size / 2
    # None counts: nothing stays.
    none = {**dict(zip(names, (value.numpy() for value in given), strict=True)), "valid": np.zeros((3, 600), bool)}
    assert not session.run(None, none)[0].any()


def test_features_of_regions_in_onnx_are_those_of_torch(tmp_path: Path) -> None:
    class Reading(nn.Module):
        def forward(self, fine: Tensor, coarse: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
            return roi_align([fine, coarse], (2, 4), boxes, images, (3, 2))

    boxes = random_boxes(40, side=300.0, least=5.0)
    given = torch.rand(2, 5, 160, 160), torch.rand(2, 5, 80, 80), boxes, torch.randint(2, (40,))
    with keep_operators():
        traced = torch.export.export(Reading(), given)
    names = ["fine", "coarse", "boxes", "images"]
    program_files.to_onnx(traced, names, ["cells"]).save(tmp_path / "cells.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "cells.onnx")
    (cells,) = session.run(None, {name: value.numpy() for name, value in zip(names, given, strict=True)})
    torch.testing.assert_close(torch.from_numpy(cells), Reading()(*given))
    assert len(set(assign_levels(boxes, (2, 4)).tolist())) == 2
