"""Compiled tasks compute what they do without."""

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from visiontasks import (
    AutoencodingTask,
    ClassificationTask,
    DetectionTask,
    InstanceSegmentationTask,
    LocalizationTask,
    SegmentationTask,
    ShapesDataModule,
)
from visiontasks.errors import ArgumentError
from visiontasks.tasks.compilation import compile_regions
from visiontasks.tasks.task import Task

pytestmark = [
    pytest.mark.unchecked,
    # The compiler looks at what it is given.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]

SMALL: dict[str, Any] = {"backbone_options": {"filters": (4, 6, 8), "depth": 1}}
TASKS: dict[str, tuple[Callable[[], Task], list[str]]] = {
    "classification": (
        lambda: ClassificationTask(4, backbone="googlenet-small", auxiliary_weight=0.3),
        ["backbone", "head", "auxiliary_heads.0", "auxiliary_heads.1"],
    ),
    "localization": (lambda: LocalizationTask(4, **SMALL), ["backbone", "head"]),
    "detection": (
        lambda: DetectionTask(4, **SMALL, fpn_width=8, head_width=8, box_batch_size_per_image=16),
        ["backbone", "neck", "rpn", "roi_head"],
    ),
    "instances": (
        lambda: InstanceSegmentationTask(
            4, **SMALL, fpn_width=8, head_width=8, box_batch_size_per_image=16, mask_widths=(4,), cascade=True
        ),
        ["backbone", "neck", "rpn", "cascade.0", "cascade.1", "roi_head", "mask_head"],
    ),
    "segmentation": (lambda: SegmentationTask(5, **SMALL), ["backbone", "decoder"]),
    "autoencoding": (lambda: AutoencodingTask(8, image_size=32, **SMALL), ["backbone", "code", "decoder"]),
}
SLOW = pytest.param("classification", marks=pytest.mark.slow)


def step(task: Task, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ANN401 - of any task
    torch.manual_seed(0)
    task.zero_grad()
    loss = torch.stack(list(task.losses(task(*task.inputs(batch)), batch).values())).sum()
    loss.backward()
    return loss.detach(), {name: value.grad for name, value in task.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("kind", [*(kind for kind in TASKS if kind != "classification"), SLOW])
def test_a_compiled_step_is_the_plain_one(kind: Any) -> None:  # noqa: ANN401 - one of the kinds
    make, regions = TASKS[kind]
    data = ShapesDataModule(
        task="classification" if kind == "autoencoding" else kind, train_size=4, image_size=(32, 32), batch_size=4
    )
    data.setup("fit")
    (batch,) = data.train_dataloader()
    torch.manual_seed(0)
    plain = make().train()
    compiled = make().train()
    compiled.load_state_dict(plain.state_dict())
    # Whole graphs, without the compiler of C++.
    assert compile_regions(compiled, backend="aot_eager", fullgraph=True) == regions
    counters.clear()
    loss, gradients = step(compiled, batch)
    assert counters["stats"]["unique_graphs"] <= len(regions)
    assert not counters["graph_break"]
    expected, expected_gradients = step(plain, batch)
    torch.testing.assert_close(loss, expected)
    assert gradients.keys() == expected_gradients.keys()
    for name, value in gradients.items():
        torch.testing.assert_close(value, expected_gradients[name], rtol=1e-4, atol=1e-5)
    states = plain.state_dict(), compiled.state_dict()
    assert states[0].keys() == states[1].keys()
    with torch.no_grad():
        for one, other in zip(
            plain.eval().predict(plain.eval_forward(*plain.inputs(batch))),
            compiled.eval().predict(compiled.eval_forward(*compiled.inputs(batch))),
            strict=True,
        ):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_copy_is_not_compiled_and_computes_the_same() -> None:
    task = LocalizationTask(4, **SMALL).eval()
    compile_regions(task, backend="aot_eager")
    copy = deepcopy(task)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(copy(images).logits, task(images).logits)
    assert copy.backbone._compiled_call_impl is None


def test_with_gradient_checkpointing_it_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"leave --compile or --model.gradient_checkpointing out"):
        compile_regions(LocalizationTask(4, **SMALL, gradient_checkpointing=True))


@pytest.mark.slow
def test_the_flag_compiles(tmp_path: Path) -> None:
    line = [
        "--model=LocalizationTask", "--model.backbone_options={\"filters\": [4], \"depth\": 1}", "--compile=true",
        "--data=ShapesDataModule", "--data.task=localization", "--data.train_size=8", "--data.val_size=4",
        "--data.batch_size=4", "--trainer.max_epochs=1", "--trainer.accelerator=cpu", "--trainer.precision=32-true",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "visiontasks", "fit", *line], cwd=tmp_path, timeout=550, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Compiled: backbone, head." in done.stdout
    (file,) = tmp_path.rglob("last.ckpt")
    assert LocalizationTask.load_from_checkpoint(file).backbone.channels == (4, 4)
