import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
import torch
from lightning.pytorch import Trainer

from tests.addresses import web_server
from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.errors import ArgumentError, CheckpointError
from visiontasks.prediction import load_task, predict_images
from visiontasks.serialization import Source, load_file
from visiontasks.tasks import reading
from visiontasks.tasks.reading import read_checkpoint, saved_device

SMALL: dict[str, Any] = {"filters": (4,), "depth": 1}

Fit = Callable[..., Trainer]


@pytest.fixture
def task(fit: Fit, batch: ClassificationBatch) -> ClassificationTask:
    task = ClassificationTask(3, backbone_options=SMALL, image_size=(12, 15))
    fit(task, [batch], max_epochs=1)
    return task


@pytest.fixture
def saved(task: ClassificationTask, tmp_path: Path) -> Path:
    """A checkpoint in a run folder."""
    task.trainer.save_checkpoint(tmp_path / "run" / "checkpoints" / "epoch0.ckpt")
    return tmp_path / "run" / "checkpoints" / "epoch0.ckpt"


def test_a_task_is_loaded_from_anywhere(task: ClassificationTask, saved: Path) -> None:
    fsspec.filesystem("memory").pipe("/reading/a.ckpt", saved.read_bytes())
    with web_server(saved.parent) as (address, asked), saved.open("rb") as opened:
        sources: list[Source] = [saved, str(saved), saved.parent.parent, opened, io.BytesIO(saved.read_bytes())]
        for source in [*sources, "memory://reading/a.ckpt", f"{address}/epoch0.ckpt"]:
            loaded = ClassificationTask.load_from_checkpoint(source, weights_only=True)
            assert all(torch.equal(value, task.state_dict()[name]) for name, value in loaded.state_dict().items())
            assert type(load_task(source)) is ClassificationTask
        assert asked == ["/epoch0.ckpt"] * 2
    image = torch.zeros(3, 12, 15, dtype=torch.uint8)
    assert len(list(predict_images(saved.parent.parent, image))) == 1


def test_weights_are_read_from_anywhere(task: ClassificationTask, saved: Path) -> None:
    fsspec.filesystem("memory").pipe("/reading/weights.ckpt", saved.read_bytes())
    first = task.state_dict()["backbone.stages.0.0.conv.weight"]
    for source in ("memory://reading/weights.ckpt", saved.parent.parent, f"file://{saved}"):
        started = ClassificationTask(5, backbone_options=SMALL, backbone_weights=source)
        assert torch.equal(started.state_dict()["backbone.stages.0.0.conv.weight"], first)
    content = bytearray(saved.read_bytes())
    content[content.index(first.numpy().tobytes())] ^= 1
    saved.write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"epoch0.ckpt' is damaged: the checksum of its record 'archive/data/\d+'"
    ):
        ClassificationTask(5, backbone_options=SMALL, backbone_weights=saved)
    with pytest.raises(CheckpointError, match=r"There is nothing at 'memory://reading/gone\.ckpt'"):
        ClassificationTask(5, backbone_options=SMALL, backbone_weights="memory://reading/gone.ckpt")


def test_reading_unsafely_is_refused(saved: Path) -> None:
    with pytest.raises(ArgumentError, match="weights_only is False, which lets a checkpoint run any code"):
        ClassificationTask.load_from_checkpoint(saved, weights_only=False)


def test_an_argument_that_a_task_does_not_know_is_an_error(saved: Path) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'hparams_file'"):
        ClassificationTask.load_from_checkpoint(saved, hparams_file="hparams.yaml")


def test_a_device_that_is_not_there_is_an_error(saved: Path) -> None:
    with pytest.raises(ArgumentError, match="map_location is 'cuda:7': "):
        ClassificationTask.load_from_checkpoint(saved, map_location="cuda:7")
    assert ClassificationTask.load_from_checkpoint(saved, map_location="cpu").device.type == "cpu"


def test_tensors_of_devices_that_are_not_there_go_to_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = torch.UntypedStorage(1)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    assert saved_device(storage, "cuda:1") is None  # where it was
    assert [saved_device(storage, name) for name in ("cuda:2", "mps", "cpu")] == [storage] * 3
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: None)
    assert saved_device(storage, "cuda:0") is storage


def test_parts_of_a_checkpoint_are_loaded_where_that_is_asked_for(saved: Path) -> None:
    options = SMALL | {"norm": "none"}
    with pytest.warns(
        UserWarning, match=r"in part; not in the (checkpoint: .*conv.bias|task: .*running_mean)"
    ) as caught:
        loaded = ClassificationTask.load_from_checkpoint(saved, strict=False, backbone_options=options)
    assert len(caught) == 2
    assert torch.equal(loaded.head.linear.weight, torch.load(saved)["state_dict"]["head.linear.weight"])


def test_another_class_count_is_refused_also_where_parts_may_lack(saved: Path) -> None:
    message = re.escape(
        "made for another model; nothing was loaded:\n  head.linear.bias: [3] in the checkpoint, [5] in"
    )
    with pytest.raises(CheckpointError, match=message) as caught:
        ClassificationTask.load_from_checkpoint(saved, strict=False, num_classes=5)
    assert "strict=False leaves out what only one of them has" in str(caught.value)
    assert "backbone_weights=FILE" in str(caught.value)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What is read from files."""
    read: list[object] = []

    def count(source: Any, *rest: Any) -> Any:  # noqa: ANN401 - as the function it stands in for
        read.append(source)
        return load_file(source, *rest)

    monkeypatch.setattr(reading, "load_file", count)
    return read


def test_loading_reads_once(saved: Path, reads: list[object]) -> None:
    ClassificationTask.load_from_checkpoint(saved)
    load_task(saved)
    assert reads == [saved] * 2


def test_what_is_kept_is_read_once_and_let_go(saved: Path, reads: list[object]) -> None:
    first = read_checkpoint(saved, keep=True)
    assert read_checkpoint(saved.parent.parent, keep=True) is first
    assert read_checkpoint(str(saved)) is first
    assert len(reads) == 1
    assert not reading._KEPT
    assert read_checkpoint(saved) is not first


def test_what_is_kept_is_not_taken_for_a_file_that_has_changed(saved: Path, reads: list[object]) -> None:
    first = read_checkpoint(saved, keep=True)
    torch.save(first | {"more": 1}, saved)
    assert read_checkpoint(saved)["more"] == 1
    read_checkpoint(saved, keep=True)
    torch.save({"state_dict": {}}, saved.with_name("other.ckpt"))
    read_checkpoint(saved.with_name("other.ckpt"))
    assert not reading._KEPT
    assert len(reads) == 4
