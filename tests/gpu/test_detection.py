"""Detection on a CUDA device; run with VISIONTASKS_GPU=1 pytest -m gpu."""

from collections.abc import Iterator

import pytest
import torch

from tests.detection.instance_scenes import random_instances
from visiontasks import DetectionBatch, DetectionTask, InstanceBatch, InstanceSegmentationTask

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def batch() -> DetectionBatch:
    """Two images with three objects each, on the device."""
    corner = torch.rand(2, 3, 2) * 80
    boxes = torch.cat([corner, corner + 20 + torch.rand(2, 3, 2) * 20], 2)
    fields = DetectionBatch(
        torch.randint(256, (2, 3, 128, 128), dtype=torch.uint8),
        boxes,
        torch.randint(3, (2, 3)),
        torch.zeros(2, 3, dtype=torch.bool),
        torch.tensor([[128, 128], [128, 120]]),
        torch.ones(2, 2),
        torch.arange(2),
        torch.full((2, 3), 900.0),
    )
    return DetectionBatch(*(field.cuda() for field in fields))


@pytest.fixture
def no_waiting() -> Iterator[None]:
    """Make waiting for the device an error, from the second step on: the first one loads kernels."""
    yield
    torch.cuda.set_sync_debug_mode("default")


def test_a_training_step_does_not_wait_for_the_device(batch: DetectionBatch, no_waiting: None) -> None:
    task = DetectionTask(3, backbone="resnet18", fpn_width=64, head_width=64).cuda()
    for step in range(2):
        torch.cuda.set_sync_debug_mode("error" if step else "default")
        terms = task.losses(task(*task.inputs(batch)), batch)
        torch.stack(list(terms.values())).sum().backward()


def test_a_training_step_with_masks_does_not_wait_either(no_waiting: None) -> None:
    batch = InstanceBatch(*(field.cuda() for field in random_instances(2, 3, (128, 128))))
    task = InstanceSegmentationTask(3, backbone="resnet18", fpn_width=64, head_width=64, cascade=True).cuda()
    for step in range(2):
        torch.cuda.set_sync_debug_mode("error" if step else "default")
        terms = task.losses(task(*task.inputs(batch)), batch)
        torch.stack(list(terms.values())).sum().backward()


def test_the_loss_of_masks_is_that_of_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    batch = random_instances(2, 3, (128, 128))
    task = InstanceSegmentationTask(3, backbone="resnet18", fpn_width=64, head_width=64).eval()
    with torch.no_grad():
        outputs = task(*task.inputs(batch))
        expected = task.losses(outputs, batch)["mask"]
        # From the same features and proposals, so that the samples are the same.
        moved = outputs._replace(
            features=[feature.cuda() for feature in outputs.features],
            proposals=outputs.proposals.cuda(),
            sizes=outputs.sizes.cuda(),
            rpn=None,
        )
        found = task.cuda().losses(moved, InstanceBatch(*(field.cuda() for field in batch)))["mask"]
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)


def test_detections_are_those_of_the_cpu(batch: DetectionBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    # With the 10 bits of TF32, which convolutions have by default, others of the many like anchors are the best.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    task = DetectionTask(
        3, backbone="resnet18", fpn_width=64, head_width=64, box_score_thresh=0.0, box_nms_thresh=0.7
    ).eval()
    with torch.no_grad():
        cpu = task.predict(task(batch.images.cpu(), batch.sizes.cpu()))
        gpu = task.cuda().predict(task(*task.inputs(batch)))
    found = (cpu.boxes[:, :, None] - gpu.boxes.cpu()[:, None]).abs().amax(-1) < 0.1
    # Of equal ones another may stay.
    assert found.any(2).float().mean() > 0.95
