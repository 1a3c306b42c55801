"""Export to files, which are written only after checking that they compute the same as the task."""

import io
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from visiontasks import __version__
from visiontasks.data.augmentation.evaluation_view import EvaluationView
from visiontasks.data.augmentation.resizing import Stretch
from visiontasks.data.datasets.shapes import ShapesDataset
from visiontasks.detection.operators import keep_operators
from visiontasks.detection.roi_align import ADAPTIVE, SAMPLES
from visiontasks.errors import ArgumentError, ExportError
from visiontasks.export.parity import compare, named
from visiontasks.files import replacing
from visiontasks.prediction.predictors import make_program
from visiontasks.prediction.programs import Program
from visiontasks.sizes import ImageSize, height_and_width
from visiontasks.tasks.task import Task
from visiontasks.tasks.views import evaluation_view, scale_of

OPSET = 18
_FLOAT, _BOOL = 1, 9
"""Types of values in ONNX."""
_TRIED = 4


class Export(NamedTuple):
    """An exported file.

    Attributes:
        file: The file.
        differences: Maximum difference of each result from that of the task, on the images used for the comparison; for
            labels, the fraction that differs. NaN for a detector that found nothing in them.
        metadata: Metadata of the file.
    """

    file: Path
    differences: dict[str, float]
    metadata: dict[str, Any]


def export_task(
    task: Task,
    file: str | Path,
    image_size: ImageSize | None = None,
    images: Iterable[str | Path] = (),
) -> Export:
    """Write a task as ONNX or as a ``torch.export`` program, including normalisation and decisions.

    The input of the file is ``images``, uint8 of shape [B, C, H, W] with any batch size and a fixed height and width; a
    detector also takes ``sizes``, int64 of shape [B, 2]: height and width of each image without the padding at the
    right and bottom. The outputs are those of the task's ``predict``, with the same names; boxes are in pixels of these
    images.

    Before the file gets its final name, it is run on images and compared with the task, see
    :func:`~visiontasks.export.parity.compare`.

    Args:
        task: The task, with its weights; while it is exported it is on the CPU and in evaluation mode.
        file: The file to write; its suffix, ``.onnx`` or ``.pt2``, selects the format.
        image_size: Height and width in pixels of the images, or one number for both; by default the size to which the
            task's evaluation resizes them, if it is one.
        images: Image files to compare on; by default generated ones.

    Returns:
        File, differences and metadata. The metadata are in the file: those of the ONNX model, or the extra file
        ``visiontasks.json`` of the program.

    Raises:
        ArgumentError: If the image size is unknown, or the format is not one of these.
        ExportError: If required packages are missing, the task cannot be exported, or the results of the file differ.
    """
    target = Path(file)
    if target.suffix not in _FORMS:
        message = f"{str(file)!r} is not a kind of file to export to; expected {' or '.join(_FORMS)}."
        raise ArgumentError(message)
    view = evaluation_view(task) or {}
    given = None if image_size is None else height_and_width("image_size", image_size)
    size = given or task.image_size or (tuple(view["size"]) if "size" in view else None)
    if size is None:
        message = (
            "The task does not say which size of images it was trained on, or they differed in size: give "
            "image_size=(H, W) (--image_size H W)."
        )
        raise ArgumentError(message)
    types = {value.dtype for value in task.state_dict().values() if value.is_floating_point()}
    if types - {torch.float32}:
        found = " and ".join(sorted(str(kind).removeprefix("torch.") for kind in types))
        message = f"The weights of the task are {found}; a file computes in float32: export task.float()."
        raise ExportError(message)
    device, modes = task.device, {module: module.training for module in task.modules()}
    save, load = _FORMS[target.suffix]
    try:
        with replacing(target) as part:
            program = make_program(task.cpu().eval(), size)
            metadata = describe(program)
            save(program, part, metadata)
            differences = check(program, load(part), _try_images(program, images), target.name)
    finally:
        task.to(device)
        for module, training in modes.items():
            module.training = training
    return Export(target, differences, metadata)


def describe(program: Program) -> dict[str, Any]:
    """Describe inputs and outputs; ``value_range`` becomes 0 and 255, and the program sees images at ``scale``."""
    task = program.task
    return {
        "visiontasks": __version__,
        "task": type(task).__name__,
        "class_names": task.class_names,
        "in_channels": task.in_channels,
        "image_size": list(program.image_size),
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "value_range": (evaluation_view(task) or {}).get("value_range"),
        "scale": scale_of(evaluation_view(task)),
    }


@torch.inference_mode()
def check(program: Program, run: Callable[..., Iterable[Tensor]], images: Tensor, file: str) -> dict[str, float]:
    """Compare the results of a file with those of the task, on one image and on several at once.

    Args:
        program: The task.
        run: Runs the file.
        images: Images to compare on.
        file: Name of the file, for messages.

    Returns:
        Largest differences.

    Raises:
        ExportError: If they are too large.
    """
    differences: dict[str, float] = {}
    for batch in (images[:1], torch.cat([images, images[:1]])):
        inputs = (batch, *program.example(len(batch))[1:])
        expected = named(program.outputs, program.reference(*inputs))
        measured = compare(expected, named(program.outputs, list(run(*inputs))), file, program.score)
        # If nothing was found in the single image, the result of the batch counts.
        differences = {name: max(value, differences.get(name, value)) for name, value in measured.items()}
    return differences


def _try_images(program: Program, files: Iterable[str | Path]) -> Tensor:
    channels = program.task.in_channels
    view = EvaluationView(Stretch(program.image_size), 1, (evaluation_view(program.task) or {}).get("value_range"))
    read = [view.read(Path(file), channels).image for file in files]
    if not read:
        side = max(16, *program.image_size)
        drawn = ShapesDataset(_TRIED, image_size=(side, side), channels=channels, max_objects=4)
        height, width = program.image_size
        read = [drawn[index].image[:, :height, :width] for index in range(_TRIED)]
    return torch.stack(read).contiguous()


def _exported(program: Program) -> torch.export.ExportedProgram:
    batch = torch.export.Dim("batch", min=1, max=4096)
    shapes = tuple({0: batch} for _ in program.inputs)
    try:
        # With two images, since torch.export treats a size of 1 as a constant.
        return torch.export.export(program, program.example(2), dynamic_shapes=shapes)
    except Exception as error:  # whatever tracing may raise
        message = f"{type(program.task).__name__} with this backbone cannot be exported: {error}"
        raise ExportError(message) from error


def _save_program(program: Program, path: Path, metadata: Mapping[str, Any]) -> None:
    with warnings.catch_warnings():
        # torch warns about the buffers of the normalisation, which are views of one tensor.
        warnings.filterwarnings("ignore", "No complete tensor found", UserWarning)
        # In memory: if torch cannot write to a file, it ends the process.
        content = io.BytesIO()
        torch.export.save(_exported(program), content, extra_files={"visiontasks.json": json.dumps(metadata)})
    path.write_bytes(content.getbuffer())


def _load_program(path: Path) -> Callable[..., Iterable[Tensor]]:
    with path.open("rb") as file:
        run: Callable[..., Iterable[Tensor]] = torch.export.load(file).module()
    return run


def _save_onnx(program: Program, path: Path, metadata: Mapping[str, Any]) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _import(package)
    with keep_operators():
        traced = _exported(program)
    exported = to_onnx(traced, program.inputs, program.outputs)
    exported.model.metadata_props.update({name: _text(value) for name, value in metadata.items()})
    exported.save(path, external_data=False)


def to_onnx(
    traced: torch.export.ExportedProgram, inputs: Iterable[str], outputs: Iterable[str]
) -> torch.onnx.ONNXProgram:
    """Translate a program to ONNX.

    Args:
        traced: The program.
        inputs: Names of its inputs.
        outputs: Names of its outputs.
    """
    program = torch.onnx.export(
        traced,
        input_names=list(inputs),
        output_names=list(outputs),
        opset_version=OPSET,
        custom_translation_table={
            torch.ops.visiontasks.suppress.default: _suppress,
            torch.ops.visiontasks.align.default: _align,
        },
        verbose=False,
    )
    assert program is not None  # as when it writes a file by itself
    return program


def _suppress(boxes: Any, valid: Any, threshold: float, labels: Any = None) -> Any:  # noqa: ANN401 (nodes of a graph)
    """Write :func:`~visiontasks.detection.nms.suppress` in the operators of ONNX."""
    op = _import("onnxscript").opset18
    count = op.Squeeze(op.Shape(valid, start=1))
    # Scores only determine the order and whether a box counts: those not above 0 do not.
    order = op.Range(count, op.Constant(value_int=0), op.Constant(value_int=-1))
    scores = op.Unsqueeze(op.Where(valid, op.Cast(order, to=_FLOAT), op.Constant(value_float=0.0)), [1])
    if labels is not None:
        # Every class gets all boxes, those of other classes with score 0.
        classes = op.Add(op.ReduceMax(labels, keepdims=0), op.Constant(value_int=1))
        one_hot = op.OneHot(labels, classes, op.Constant(value_floats=[0.0, 1.0]), axis=1)
        scores = op.Mul(scores, one_hot)
    bounds = (op.Constant(value_float=value) for value in (threshold, 0.0))
    chosen = op.NonMaxSuppression(boxes, scores, count, *bounds)
    places = op.Gather(chosen, op.Constant(value_ints=[0, 2]), axis=1)
    nothing = op.ConstantOfShape(op.Shape(valid))
    ones = op.Expand(op.Constant(value_float=1.0), op.Shape(chosen, end=1))
    return op.Cast(op.ScatterND(nothing, places, ones), to=_BOOL)


def _align(features: Any, strides: Any, boxes: Any, images: Any, levels: Any, size: Any, aligned: Any) -> Any:  # noqa: ANN401 (as above)
    """Write :func:`~visiontasks.detection.roi_align.roi_align` in the operators of ONNX."""
    op = _import("onnxscript").opset18
    rows, columns = size
    cells = None
    for level, (feature, stride) in enumerate(zip(features, strides, strict=True)):
        of_level = op.Transpose(op.NonZero(op.Equal(levels, op.Constant(value_int=level))), perm=[1, 0])
        read = op.RoiAlign(
            feature,
            op.GatherND(boxes, of_level),
            op.GatherND(images, of_level),
            coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
            output_height=rows,
            output_width=columns,
            sampling_ratio=ADAPTIVE if aligned else SAMPLES,
            spatial_scale=1 / stride,
        )
        if cells is None:
            shape = op.Concat(
                op.Shape(boxes, end=1), op.Shape(feature, start=1, end=2), op.Constant(value_ints=size), axis=0
            )
            cells = op.ConstantOfShape(shape)
        cells = op.ScatterND(cells, of_level, read)
    return cells


def _load_onnx(path: Path) -> Callable[..., Iterable[Tensor]]:
    session = _import("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        given = {name: value.numpy() for name, value in zip(names, inputs, strict=True)}
        return [torch.from_numpy(array) for array in session.run(None, given)]

    return run


_FORMS = {".onnx": (_save_onnx, _load_onnx), ".pt2": (_save_program, _load_program)}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _import(package: str) -> Any:  # noqa: ANN401 (a module)
    try:
        return import_module(package)
    except ImportError as error:
        message = f"ONNX files need {package}, which is missing ({error}). Install visiontasks[export]."
        raise ExportError(message) from error
