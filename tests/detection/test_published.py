from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision

from visiontasks import DetectionTask
from visiontasks.detection.published import COCO_IDS, PUBLISHED, fit_classes, read_detector
from visiontasks.errors import CheckpointError, DownloadError

SMALL: dict[str, Any] = {
    "backbone_options": {"filters": [4, 8, 8], "depth": 1},
    "fpn_width": 8,
    "head_width": 16,
    "normalization": "unit",
}


@pytest.fixture
def source(tmp_path: Path) -> tuple[DetectionTask, Path]:
    """A detector of colour images, and the file of its weights."""
    task = DetectionTask(3, **SMALL).eval()
    torch.save(task.state_dict(), tmp_path / "source.pth")
    return task, tmp_path / "source.pth"


def test_weights_of_a_compiled_backbone_fit(source: tuple[DetectionTask, Path], tmp_path: Path) -> None:
    state = source[0].state_dict()
    compiled = {key.replace("backbone.", "backbone._orig_mod."): value for key, value in state.items()}
    torch.save(compiled, tmp_path / "compiled.pth")
    task = DetectionTask(3, **SMALL, weights=tmp_path / "compiled.pth")
    assert all(torch.equal(value, state[key]) for key, value in task.state_dict().items())


def test_weights_within_a_checkpoint_of_another_program_fit(source: tuple[DetectionTask, Path], tmp_path: Path) -> None:
    state = source[0].state_dict()
    wrapped = {f"module.{key}": value for key, value in state.items()}
    torch.save({"model": wrapped, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}}, tmp_path / "other.pth")
    task = DetectionTask(3, **SMALL, weights=tmp_path / "other.pth")
    assert all(torch.equal(value, state[key]) for key, value in task.state_dict().items())


def test_a_detector_of_colour_images_starts_one_of_grey_images(source: tuple[DetectionTask, Path]) -> None:
    task = DetectionTask(3, **SMALL, in_channels=1, weights=source[1]).eval()
    grey = torch.randint(256, (1, 1, 48, 64), dtype=torch.uint8)
    with torch.no_grad():
        found, expected = task(grey).rpn, source[0](grey.expand(-1, 3, -1, -1)).rpn
    assert found is not None
    assert expected is not None
    torch.testing.assert_close(found.objectness, expected.objectness, atol=1e-4, rtol=1e-4)


def test_outputs_for_other_anchors_are_left_at_random(source: tuple[DetectionTask, Path]) -> None:
    options = {**SMALL, "anchor_scales": (2.0, 4.0)}
    task = DetectionTask(3, **options, weights=source[1])
    found, given = task.state_dict(), source[0].state_dict()
    assert {key for key in found if found[key].shape != given[key].shape} == {
        f"rpn.head.{layer}.{kind}" for layer in ("cls_logits", "bbox_pred") for kind in ("weight", "bias")
    }
    assert all(torch.equal(found[key], given[key]) for key in found if found[key].shape == given[key].shape)


class FakeWeights(SimpleNamespace):
    """Stands for an entry of torchvision's table of weights."""

    def __str__(self) -> str:
        return "COCO_V1"


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_are_verified_and_converted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    asked: list[Any] = []

    def state_dict(**options: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - as torchvision has it
        asked.append(options)
        if len(asked) > 1:
            message = "no network"
            raise OSError(message)
        return {"backbone.body.bn1.running_var": torch.ones(2), "backbone.fpn.x": torch.zeros(1)}

    entry = FakeWeights(url="https://some.where/x.pth", get_state_dict=state_dict)
    monkeypatch.setattr(torchvision.models, "get_model_weights", {name: SimpleNamespace(DEFAULT=entry)}.__getitem__)
    source = read_detector(name)
    assert source.origin == "torchvision's COCO_V1"
    assert list(source.weights) == ["backbone.bn1.running_var", "neck.x"]
    # The older ones were trained with a batch norm whose epsilon is 0.
    lowered = 0 if name.endswith("v2") else 1e-5
    assert (1 - source.weights["backbone.bn1.running_var"]).tolist() == pytest.approx([lowered] * 2, rel=0.01)
    assert asked == [{"map_location": "cpu", "check_hash": True, "weights_only": True}]
    with pytest.raises(DownloadError, match=r"be downloaded from https://some.where/x.pth \(no network\)\. Without"):
        read_detector(name)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "x.pth").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"x\.pth', the downloaded weights of .* is damaged"):
        read_detector(name)


def test_the_outputs_of_the_80_classes_of_coco_are_chosen_from_90() -> None:
    outputs = {
        "roi_head.cls_score.weight": torch.arange(91.0)[:, None].expand(-1, 3),
        "roi_head.cls_score.bias": torch.arange(91.0),
        "roi_head.bbox_pred.weight": torch.arange(90.0).repeat_interleave(4)[:, None].expand(-1, 3),
        "roi_head.bbox_pred.bias": torch.arange(90.0).repeat_interleave(4),
    }
    weights = dict(outputs)
    assert not fit_classes(weights, 80)
    chosen = [index - 1 for index in COCO_IDS]
    assert weights["roi_head.cls_score.bias"].tolist() == [*chosen, 90]  # the last is the background
    assert weights["roi_head.cls_score.weight"][:, 0].tolist() == [*chosen, 90]
    assert weights["roi_head.bbox_pred.bias"].view(-1, 4)[:, 2].tolist() == chosen
    assert weights["roi_head.bbox_pred.weight"].view(-1, 4, 3)[:, 1, 0].tolist() == chosen
    weights = dict(outputs)
    assert not fit_classes(weights, 90)
    assert weights.keys() == outputs.keys()
    assert fit_classes(weights, 3)
    assert not weights


def test_weights_without_outputs_are_not_those_of_a_detector(
    source: tuple[DetectionTask, Path], tmp_path: Path
) -> None:
    state = {key: value for key, value in source[0].state_dict().items() if "cls_score" not in key}
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(CheckpointError, match=r"roi_head\.cls_score"):
        DetectionTask(3, **SMALL, weights=tmp_path / "part.pth")
