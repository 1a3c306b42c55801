import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torchmetrics.aggregation import MeanMetric

from visiontasks import ClassificationBatch, ClassificationTask, Task, create_backbone
from visiontasks.errors import ArgumentError
from visiontasks.testing import check_task


class PairBatch(NamedTuple):
    """Images with a brightness and a contrast to predict."""

    images: Tensor
    targets: Tensor
    ids: Tensor


class Regression(Task):
    """Predicts two numbers, each with a loss of its own."""

    def __init__(self, weight: float = 0.5, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of Task
        super().__init__(**kwargs)
        self.weight = weight
        self.head = nn.Linear(self.backbone.channels[-1], 2)
        self.add_metrics({"error": MeanMetric()}, stages=("train", "val", "test"))

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.backbone(self.normalize(images))[-1].mean((2, 3)))
        return outputs

    def losses(self, outputs: Tensor, batch: PairBatch) -> dict[str, Tensor]:
        first, second = (outputs - batch.targets).square().mean(0)
        return {"brightness": first, "contrast": self.weight * second}

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.clamp(0, 1)

    def update_metrics(self, predictions: Tensor, batch: PairBatch) -> None:
        self.metrics.update((predictions - batch.targets).abs().mean(1))


SMALL = {"filters": [4], "depth": 1, "norm": "none"}


@pytest.fixture
def pairs() -> list[PairBatch]:
    images = torch.randint(256, (8, 3, 6, 7), dtype=torch.uint8)
    targets = torch.rand(8, 2)
    return [PairBatch(images[:5], targets[:5], torch.arange(5)), PairBatch(images[5:], targets[5:], torch.arange(5, 8))]


def test_a_task_of_a_user_keeps_the_contract(pairs: list[PairBatch]) -> None:
    check_task(Regression(backbone_options=SMALL), pairs[0])
    backbone = create_backbone("cnn", filters=[4])
    task = Regression(backbone=backbone)
    check_task(task, pairs[0], {"backbone": backbone})
    assert task.backbone is backbone


def test_the_sum_of_the_terms_is_optimised_and_all_are_logged(
    fit: Callable[..., Trainer], pairs: list[PairBatch], tmp_path: Path
) -> None:
    task = Regression(backbone_options=SMALL, warmup=0.0, optimizer=lambda p: torch.optim.SGD(p, lr=0.1))
    before = {name: value.clone() for name, value in task.named_parameters()}
    sum(task.losses(task(pairs[0].images), pairs[0]).values(), torch.tensor(0.0)).backward()
    expected = {
        name: before[name] - 0.1 * value.grad for name, value in task.named_parameters() if value.grad is not None
    }
    task.zero_grad()

    trainer = fit(task, pairs, max_epochs=1, limit_train_batches=1, log_every_n_steps=1, logger=CSVLogger(tmp_path))
    for name, value in task.named_parameters():
        torch.testing.assert_close(value, expected[name])
    metrics = trainer.callback_metrics
    outputs = [task(batch.images) for batch in pairs]
    terms = [task.losses(output, batch) for output, batch in zip(outputs, pairs, strict=True)]
    for name in ("brightness", "contrast"):
        mean = (5 * terms[0][name] + 3 * terms[1][name]) / 8
        torch.testing.assert_close(metrics[f"val/loss_{name}"], mean.detach())
    torch.testing.assert_close(metrics["val/loss"], metrics["val/loss_brightness"] + metrics["val/loss_contrast"])
    errors = torch.cat([(o.clamp(0, 1) - b.targets).abs().mean(1) for o, b in zip(outputs, pairs, strict=True)])
    torch.testing.assert_close(metrics["val/error"], errors.mean().detach())
    torch.testing.assert_close(metrics["train/loss"], metrics["train/loss_brightness"] + metrics["train/loss_contrast"])


@pytest.mark.parametrize(("interval", "logged"), [(1, 4), (2, 2), (3, 1), (50, 0)])
def test_training_losses_are_logged_at_the_trainers_interval_and_once_an_epoch(
    interval: int, logged: int, fit: Callable[..., Trainer], pairs: list[PairBatch], tmp_path: Path
) -> None:
    logger = CSVLogger(tmp_path, version=0)
    task = Regression(backbone_options=SMALL)
    fit(task, pairs, max_epochs=2, log_every_n_steps=interval, logger=logger, limit_val_batches=0)
    rows = list(csv.DictReader(Path(logger.log_dir, "metrics.csv").read_text().splitlines()))
    counts = {name: sum(bool(row.get(name)) for row in rows) for name in ("train/loss_step", "train/loss")}
    assert counts == {"train/loss_step": logged, "train/loss": 2}


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
def test_a_trainer_that_logs_nothing_trains(make_trainer: Callable[..., Trainer], pairs: list[PairBatch]) -> None:
    bare = {"enable_checkpointing": None, "logger": None, "enable_progress_bar": None, "enable_model_summary": None}
    trainer = make_trainer(**bare, barebones=True, max_steps=2)
    loader: Any = torch.utils.data.DataLoader(pairs, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    trainer.fit(Regression(backbone_options=SMALL), loader, loader)
    assert trainer.global_step == 2


def test_metrics_start_anew_each_epoch(fit: Callable[..., Trainer], pairs: list[PairBatch]) -> None:
    task = Regression(backbone_options=SMALL, optimizer=lambda p: torch.optim.SGD(p, lr=0.0))
    once = fit(task, pairs, max_epochs=1, num_sanity_val_steps=1).callback_metrics
    twice = fit(task, pairs, max_epochs=3).callback_metrics
    assert once["val/error"] == twice["val/error"]
    assert once["train/error"] == twice["train/error"]
    assert once["val/loss"] == twice["val/loss"]


def test_batches_of_any_kind_predict(make_trainer: Callable[..., Trainer], pairs: list[PairBatch]) -> None:
    task = Regression(backbone_options=SMALL)
    loader: Any = torch.utils.data.DataLoader(pairs, batch_size=None)  # type: ignore[arg-type]  # read like a Dataset
    predicted: Any = make_trainer().predict(task, loader)
    for found, batch in zip(predicted, pairs, strict=True):
        assert torch.equal(found, task(batch.images).clamp(0, 1))


def test_options_are_for_named_backbones() -> None:
    with pytest.raises(
        ArgumentError, match="backbone_options are for a named backbone; the one given is already built"
    ):
        Regression(backbone=create_backbone("cnn"), backbone_options={"depth": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "cnm"}, "There is no backbone 'cnm'. Did you mean 'cnn'?"),
        ({"backbone_options": {"width": 1}}, "backbone 'cnn' was given {'width': 1}"),
    ],
)
def test_backbones_that_do_not_exist_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        Regression(**arguments)


class Unmeasured(Task):
    """Only what has to be defined."""

    def __init__(self) -> None:
        super().__init__(backbone_options=SMALL)

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.backbone(self.normalize(images))[0]
        return outputs

    def losses(self, outputs: Tensor, batch: PairBatch) -> dict[str, Tensor]:
        return {"size": outputs.square().mean()}

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs


def test_metrics_are_optional(fit: Callable[..., Trainer], pairs: list[PairBatch]) -> None:
    assert fit(Unmeasured(), pairs, max_epochs=1).callback_metrics.keys() == {"val/loss", "train/loss"}


class Confused(Unmeasured):
    """Raises an error of its own."""

    def forward(self, images: Tensor) -> Tensor:
        message = "not what I expected"
        raise ValueError(message)


def test_errors_of_a_user_stay_as_they_are(fit: Callable[..., Trainer], pairs: list[PairBatch]) -> None:
    with pytest.raises(ValueError, match=r"^not what I expected$"):
        fit(Confused(), pairs, max_epochs=1)


class Peeking(ClassificationTask):
    """Its forward sees the labels."""

    def inputs(self, batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as in Task
        return batch.images, batch.labels

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]  # what is wrong with it
        return super().forward(images) + labels[:, None]


class Fickle(ClassificationTask):
    """What it predicts depends on the mode."""

    def predict(self, outputs: Tensor) -> Any:  # noqa: ANN401 - what is wrong with it
        return outputs if self.training else super().predict(outputs)


class Nameless(ClassificationTask):
    """Its loss has no name."""

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> Any:  # noqa: ANN401 - what is wrong with it
        return super().losses(outputs, batch)["cross_entropy"]


class Elementwise(ClassificationTask):
    """Its loss is no scalar."""

    def losses(self, outputs: Tensor, batch: ClassificationBatch) -> dict[str, Tensor]:
        return {"cross_entropy": nn.functional.cross_entropy(outputs, batch.labels, reduction="none")}


class Spare(ClassificationTask):
    """Some of its parameters are not used."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*args, **kwargs)
        self.spare = nn.Linear(1, 1)


class Stuck(ClassificationTask):
    """Its optimiser changes nothing."""

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - as in Lightning
        return torch.optim.SGD(self.parameters(), lr=0.0)


class Forgetful(ClassificationTask):
    """Its checkpoint lacks what its outputs depend on."""

    scale = 1.0

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) * self.scale

    def on_train_end(self) -> None:
        self.scale = 2.0


class Counting(ClassificationTask):
    """Counts an image where there is none."""

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:  # noqa: ANN401 - as in Task
        super().validation_step(batch, batch_idx, dataloader_idx)
        self.scores.val_losses.count += 1


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Peeking, "what forward returns depends on the labels"),
        (Fickle, "outputs, losses and predictions are .* in training, but .* in evaluation"),
        (Nameless, "expected a dict of named terms"),
        (Elementwise, "(?s)the loss term 'cross_entropy' is .*; expected a finite scalar"),
        (Spare, "no gradient reaches .*spare.weight"),
        (Stuck, "one training step changed no weight"),
        (Forgetful, "predicts something else"),
        (Counting, "an empty batch changes the metrics"),
    ],
)
@pytest.mark.unchecked
def test_what_breaks_the_contract_is_found(
    broken: type[ClassificationTask], message: str, batch: ClassificationBatch
) -> None:
    with pytest.raises(AssertionError, match=message):
        check_task(broken(3, backbone_options={"filters": [4], "depth": 1}), batch)


class Table(MeanMetric):
    """Gives a matrix."""

    def compute(self) -> Tensor:
        return torch.zeros(3, 3)


def test_a_metric_that_gives_a_matrix_is_named(fit: Callable[..., Trainer], pairs: list[PairBatch]) -> None:
    task = Regression(backbone_options=SMALL)
    task.add_metrics({"table": Table()}, stages=("val",))
    with pytest.raises(ArgumentError, match=r"val/table has the shape \[3, 3\]; expected one value, or one for each"):
        fit(task, pairs, max_epochs=1)
