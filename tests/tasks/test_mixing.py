"""Mixup and CutMix."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import SGD
from torch.utils.data import DataLoader

from visiontasks import ClassificationBatch, ClassificationTask
from visiontasks.errors import ArgumentError
from visiontasks.losses.classification import Mode
from visiontasks.tasks.mixing import Mixing
from visiontasks.testing import check_task


def batch_of(labels: Tensor, *, integers: bool = True) -> ClassificationBatch:
    """Make images whose pixels say which image of the batch they are."""
    images = torch.arange(len(labels)).reshape(-1, 1, 1, 1).expand(-1, 3, 16, 16)
    pixels = images.to(torch.uint8) if integers else images.float() / 255
    return ClassificationBatch(pixels.contiguous(), labels, torch.arange(len(labels)))


@pytest.mark.parametrize("integers", [True, False])
def test_mixup_adds_up_images_and_labels_by_the_same_shares(integers: bool) -> None:
    batch = batch_of(torch.tensor([0, 1, 2, 0, 1]), integers=integers)
    mixing, seen = Mixing(mixup=1, cutmix=0, num_classes=3), set()
    for _ in range(20):
        mixed = mixing(batch)
        torch.testing.assert_close(mixed.labels.sum(1), torch.ones(5))
        share = mixed.labels[1, 1].item()
        assert mixed.labels[1].tolist() == pytest.approx([1 - share, share, 0], abs=1e-6)
        # Image 1 is mixed with image 0, image 0 with the last one.
        first, second = mixed.images[:2, 0, 0, 0] * 255
        assert second.item() == pytest.approx(share, abs=1e-4)
        assert first.item() == pytest.approx(4 * (1 - share), abs=1e-4)
        seen.add(share)
    assert len(seen) == 20


@pytest.mark.parametrize("several", [False, True])
def test_cutmix_shares_out_labels_by_pixels(several: bool) -> None:
    labels = torch.tensor([0, 1, 2, 0])
    present = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0]], dtype=torch.uint8)
    batch = batch_of(present if several else labels)
    mixing = Mixing(mixup=0, cutmix=1, num_classes=3)
    for _ in range(20):
        mixed = mixing(batch)
        assert mixed.images.dtype == torch.uint8
        own = torch.nn.functional.one_hot(labels, 3) if not several else present
        for index in range(4):
            pixels = mixed.images[index, 0]
            other = (index - 1) % 4
            assert ((pixels == index) | (pixels == other)).all()
            share = (pixels == index).float().mean()
            torch.testing.assert_close(mixed.labels[index], share * own[index] + (1 - share) * own[other])


def test_the_random_state_decides() -> None:
    batch, mixing = batch_of(torch.tensor([0, 1, 2])), Mixing(mixup=0.4, cutmix=1, num_classes=3)
    torch.manual_seed(4)
    mixed = [mixing(batch) for _ in range(20)]
    torch.manual_seed(4)
    for one in mixed:
        again = mixing(batch)
        assert torch.equal(one.images, again.images)
        assert torch.equal(one.labels, again.labels)
    assert len({one.labels.numpy().tobytes() for one in mixed}) == 20
    # Both kinds occur: mixup's images are floating point.
    assert {one.images.dtype for one in mixed} == {torch.uint8, torch.float32}
    assert batch.images.dtype == torch.uint8


def test_channels_last_memory_stays_so() -> None:
    batch = batch_of(torch.tensor([0, 1, 2]))
    batch = batch._replace(images=batch.images.contiguous(memory_format=torch.channels_last))
    for mixing in (Mixing(1, 0, 3), Mixing(0, 1, 3)):
        assert mixing(batch).images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_smoothing_spreads_the_shares_of_mixed_classes(smoothing: float, gamma: float) -> None:
    batch = batch_of(torch.tensor([0, 1, 2, 0, 1]))
    task = ClassificationTask(3, label_smoothing=smoothing, focal_gamma=gamma, backbone_options={"filters": [4]})
    for mixing in (Mixing(mixup=0.4, cutmix=0, num_classes=3), Mixing(mixup=0, cutmix=1, num_classes=3)):
        mixed, logits = mixing(batch), torch.randn(5, 3)
        expected = 0.0
        for image in range(5):
            # The image itself and the one before it, by the share of the first: what mixing adds up to.
            own, other = int(batch.labels[image]), int(batch.labels[image - 1])
            share = 1.0 if own == other else mixed.labels[image, own].item()
            total = sum(math.exp(value) for value in logits[image].tolist())
            for label in range(3):
                target = (1 - smoothing) * (share * (label == own) + (1 - share) * (label == other)) + smoothing / 3
                probability = math.exp(logits[image, label].item()) / total
                expected -= target * (1 - probability) ** gamma * math.log(probability) / 5
        (loss,) = task.losses(logits, mixed).values()
        assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("arguments", [(-0.1, 0.0), (0.0, -1.0)])
def test_a_negative_alpha_is_an_error(arguments: tuple[float, float]) -> None:
    with pytest.raises(ArgumentError, match=r"(mixup|cutmix) is -.*; expected its alpha, such as 0.2, or 0"):
        Mixing(*arguments, num_classes=3)


class Watched(ClassificationTask):
    """Keeps the labels that its loss sees."""

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        self.seen = [*getattr(self, "seen", []), batch.labels]
        return super().losses(outputs, batch)


def watch(make_trainer: Callable[..., Trainer], batches: list[ClassificationBatch], epochs: int = 2) -> Watched:
    torch.manual_seed(3)
    task = Watched(
        3,
        mixup=0.3,
        cutmix=1.0,
        label_smoothing=0.1,
        class_weights=[1.0, 2.0, 0.5],
        backbone_options={"filters": [4, 8], "depth": 1},
        optimizer=partial(SGD, lr=0.1),
    )
    loader: DataLoader[ClassificationBatch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]  # a list
    make_trainer(max_epochs=epochs, num_sanity_val_steps=0).fit(task, loader, loader)
    return task


def test_training_mixes_anew_in_every_step_and_evaluation_never(
    make_trainer: Callable[..., Trainer], batch: ClassificationBatch
) -> None:
    task = watch(make_trainer, [batch, batch])
    mixed = [labels for labels in task.seen if labels.is_floating_point()]
    plain = [labels for labels in task.seen if not labels.is_floating_point()]
    assert len(mixed) == len(plain) == 4
    assert all(torch.equal(labels, batch.labels) for labels in plain)
    assert len({labels.numpy().tobytes() for labels in mixed}) == 4
    assert 0 <= task.trainer.callback_metrics["train/accuracy"] <= 1


def test_the_same_seed_gives_the_same_weights(make_trainer: Callable[..., Trainer], batch: ClassificationBatch) -> None:
    one, other = watch(make_trainer, [batch, batch]), watch(make_trainer, [batch, batch])
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


@pytest.mark.parametrize(
    ("mode", "labels"),
    [
        ("multiclass", torch.arange(6) % 3),
        ("binary", torch.arange(6) % 2),
        ("multilabel", torch.tensor([[1, 0, 1], [0, 0, 0]] * 3, dtype=torch.uint8)),
    ],
)
def test_every_mode_keeps_the_contract_with_mixed_images(mode: Mode, labels: Tensor) -> None:
    images = torch.randint(256, (6, 3, 9, 14), dtype=torch.uint8)
    classes = 2 if mode == "binary" else 3
    task = ClassificationTask(
        classes,
        mode=mode,
        mixup=0.2,
        cutmix=1,
        label_smoothing=0.1,
        focal_gamma=2,
        class_weights=[1.0, 2.0, 0.5][:classes],
        backbone_options={"filters": [4, 8], "depth": 1},
    )
    check_task(task, ClassificationBatch(images, labels, torch.arange(6)))
