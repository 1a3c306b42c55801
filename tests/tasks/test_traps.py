"""What would let a training go wrong in silence, as a user writes it; each has its warning or error."""

from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import BackboneFinetuning, Callback, EarlyStopping, ModelCheckpoint
from torch.utils.data import DataLoader, TensorDataset

from visiontasks import ClassificationTask, LocalizationTask, SegmentationTask, ShapesDataModule, create_backbone
from visiontasks.errors import ArgumentError
from visiontasks.tasks.traps import check_names

SMALL: dict[str, Any] = {"backbone_options": {"filters": (4, 8), "depth": 1}}


def data(**options: Any) -> ShapesDataModule:  # noqa: ANN401 - arguments of the data module
    return ShapesDataModule(train_size=8, val_size=4, test_size=4, batch_size=4, image_size=24, **options)


def fit(task: Any, images: Any = None, *callbacks: Callback, **options: Any) -> Trainer:  # noqa: ANN401 - of any kind
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    chosen = {"max_epochs": 2, "accelerator": "cpu", "logger": False, "callbacks": [*callbacks], **quiet, **options}
    trainer = Trainer(**chosen)
    if isinstance(images, DataLoader):
        trainer.fit(task, images, images)
    else:
        trainer.fit(task, images or data())
    return trainer


def pairs(labels: torch.Tensor) -> DataLoader[Any]:
    images = torch.zeros(len(labels), 3, 16, 16, dtype=torch.uint8)
    return DataLoader(TensorDataset(images, labels), batch_size=4)


class TestFrozenRandomWeights:
    def test_they_are_warned_of(self) -> None:
        with pytest.warns(UserWarning, match=r"freeze is 'all', and the backbone has the random weights.*'imagenet'"):
            fit(ClassificationTask(4, freeze="all", **SMALL))
        with pytest.warns(UserWarning, match="freeze is 1, and the backbone has the random weights"):
            fit(ClassificationTask(4, backbone=create_backbone("cnn", filters=(4, 8)), freeze=1))

    def test_weights_that_were_loaded_or_trained_are_not(self, tmp_path: Any) -> None:  # noqa: ANN401 - a path
        trained = ClassificationTask(4, **SMALL)
        trainer = fit(trained, max_epochs=1)
        trainer.save_checkpoint(tmp_path / "a.ckpt")
        fit(ClassificationTask(4, freeze="all", backbone_weights=tmp_path / "a.ckpt", **SMALL), max_epochs=1)
        fit(ClassificationTask.load_from_checkpoint(tmp_path / "a.ckpt", freeze="all"), max_epochs=1)
        started = ClassificationTask(4, freeze="all", **SMALL)
        started.backbone.load_state_dict(trained.backbone.state_dict())
        fit(started, max_epochs=1)

    def test_a_random_backbone_that_is_trained_is_usual(self) -> None:
        fit(ClassificationTask(4, **SMALL), max_epochs=1)
        fit(ClassificationTask(4, freeze=0, **SMALL), max_epochs=1)


class TestFewSteps:
    @pytest.mark.parametrize(
        ("options", "steps", "remedy"),
        [
            ({"max_epochs": 3}, 6, "max_epochs=25"),
            ({"max_epochs": 3, "accumulate_grad_batches": 2}, 3, "max_epochs=50"),
            ({"max_steps": 5, "max_epochs": -1}, 5, "max_steps=50"),
            ({"max_steps": 5, "max_epochs": 500}, 5, "max_steps=50"),
        ],
    )
    def test_they_are_warned_of(self, options: dict[str, Any], steps: int, remedy: str) -> None:
        said = (
            rf"training is {steps} steps, .* from random weights; .* at least 50. Train longer, by {remedy} or more, or"
        )
        with pytest.warns(UserWarning, match=said):
            fit(ClassificationTask(4, **SMALL), **options)

    @pytest.mark.filterwarnings("error:The whole training is")
    def test_enough_of_them_a_trial_and_other_weights_are_not(self, tmp_path: Any) -> None:  # noqa: ANN401 - a path
        fit(ClassificationTask(4, **SMALL), fast_dev_run=True)
        fit(ClassificationTask(4, **SMALL), max_epochs=25).save_checkpoint(tmp_path / "a.ckpt")
        fit(ClassificationTask(4, backbone_weights=tmp_path / "a.ckpt", **SMALL), max_epochs=1)


class TestUnfreezing:
    @pytest.mark.parametrize(
        ("options", "last"),
        [({"max_epochs": 2}, 1), ({"max_epochs": -1, "max_steps": 3}, 1), ({"accumulate_grad_batches": 2}, 1)],
    )
    def test_one_after_the_end_is_warned_of(self, options: dict[str, Any], last: int) -> None:
        warning = rf"at epoch 2, and the last epoch is {last}, counted from 0.*, by max_epochs=3 or more\."
        with pytest.warns(UserWarning, match=warning):
            fit(ClassificationTask(4, **SMALL), None, BackboneFinetuning(last + 1), **options)

    def test_one_before_it_is_not(self) -> None:
        fit(ClassificationTask(4, freeze="all", **SMALL), None, BackboneFinetuning(1))


class TestLabels:
    @pytest.mark.parametrize(
        ("labels", "options", "message"),
        [
            ([0, 1, 2, 7], {}, r"ids 3 are 7; expected 0 to 2\. Correct the labels, or num_classes, which is 3"),
            ([0, 1, -1, 1], {}, r"ids 2 are -1; expected 0 to 2"),
            ([0.0, 1.0, 1.0, 2.0], {}, r"shape \[4\] and type torch.float32; expected integers of shape \[4\]"),
            ([[0, 1, 0], [1, 5, 0]], {"mode": "multilabel"}, r"ids 1 are 5; expected 0 to 1"),
            ([[0, 1], [1, 0]], {"mode": "multilabel"}, r"shape \[2, 2\] .* each class, shape \[2, 3\]"),
        ],
    )
    def test_those_of_no_class_are_named(self, labels: list[Any], options: dict[str, Any], message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            fit(ClassificationTask(3, **options, **SMALL), pairs(torch.tensor(labels)), limit_val_batches=0)

    def test_of_two_classes_a_third_is_refused(self) -> None:
        task = ClassificationTask(2, mode="binary", **SMALL)
        with pytest.raises(ArgumentError, match="ids 2 are 2; expected 0 to 1"):
            fit(task, pairs(torch.tensor([0, 1, 2, 1])), limit_val_batches=0)

    def test_those_of_a_later_batch_and_of_validation_are_seen(self) -> None:
        labels = torch.tensor([0, 1, 2, 1, 0, 1, 2, 3])
        with pytest.raises(ArgumentError, match="are 3; expected 0 to 2"):
            fit(ClassificationTask(3, **SMALL), pairs(labels), limit_val_batches=0)
        trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
        with pytest.raises(ArgumentError, match="are 3; expected 0 to 2"):
            trainer.validate(ClassificationTask(3, **SMALL), pairs(labels), verbose=False)

    def test_no_object_is_not_a_wrong_label(self) -> None:
        images = data(task="localization")
        images.setup("fit")
        for sample in (*images.train_set.samples, *images.val_set.samples):  # type: ignore[attr-defined]
            sample.labels.fill_(-1)
        fit(LocalizationTask(4, **SMALL), images, max_epochs=1)
        other = data(task="localization")
        other.setup("fit")
        with pytest.raises(ArgumentError, match=r"expected 0 to 1 \(-1: no object\)"):
            fit(LocalizationTask(2, **SMALL), other.train_dataloader(), limit_val_batches=0)

    def test_shares_of_classes_are_labels(self) -> None:
        shares = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
        fit(ClassificationTask(3, **SMALL), pairs(shares), limit_val_batches=0, max_epochs=1)

    def test_a_loss_of_the_users_own_takes_labels_of_its_own(self) -> None:
        class Own(ClassificationTask):
            def losses(self, outputs: Any, batch: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - as in the base
                return super().losses(outputs, batch._replace(labels=batch.labels.clamp(max=2)))

            def update_metrics(self, predictions: Any, batch: Any) -> None:  # noqa: ANN401 - as in the base
                pass

        fit(Own(3, **SMALL), pairs(torch.tensor([0, 1, 2, 7])), limit_val_batches=0, max_epochs=1)


class TestClasses:
    @pytest.mark.parametrize("kind", [ClassificationTask, SegmentationTask])
    def test_one_class_is_no_choice(self, kind: Any) -> None:  # noqa: ANN401 - a task class
        task = kind(1, **SMALL)
        with pytest.raises(ArgumentError, match=f"{kind.__name__} is to choose from one class"):
            fit(task, pairs(torch.zeros(4, dtype=torch.long)), limit_val_batches=0)

    def test_one_class_may_be_there_or_not(self) -> None:
        task = ClassificationTask(1, mode="multilabel", **SMALL)
        fit(task, pairs(torch.tensor([[0], [1]])), limit_val_batches=0, max_epochs=1)

    def test_two_classes_of_one_name_are_refused(self) -> None:
        task = ClassificationTask(3, class_names=["cat", "dog", "cat"], **SMALL)
        with pytest.raises(ArgumentError, match="Several classes are called cat; expected a name of its own for each"):
            fit(task, pairs(torch.tensor([0, 1, 2, 1])), limit_val_batches=0)
        check_names(["cat", "dog"])
        check_names([])


class TestMonitors:
    @pytest.mark.parametrize(
        "callback",
        [EarlyStopping("val/acuracy", mode="max"), EarlyStopping("acuracy"), ModelCheckpoint(monitor="val/acuracy")],
    )
    def test_a_misspelt_one_is_found_before_the_first_epoch(self, callback: Callback) -> None:
        class Begun(Callback):
            def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:  # noqa: ANN401 - as in the base
                pytest.fail("an epoch was begun")

        with pytest.raises(ArgumentError, match=r"watches '(val/)?acuracy', which .* Did you mean 'val/accuracy'"):
            fit(ClassificationTask(4, **SMALL), None, callback, Begun(), enable_checkpointing=True)

    def test_what_training_logs_may_be_watched(self) -> None:
        class Logs(ClassificationTask):
            def on_train_epoch_end(self) -> None:
                self.log("acuracy", 1.0)
                self.log("zebra", 1.0)

        watching = [EarlyStopping("train/loss"), EarlyStopping("zebra", check_on_train_epoch_end=True)]
        fit(Logs(4, **SMALL), None, *watching)

    def test_the_wrong_direction_is_warned_of(self) -> None:
        for callback, better in (
            (EarlyStopping("val/accuracy", patience=9), "max"),
            (EarlyStopping("val/f1", patience=9), "max"),
            (EarlyStopping("val/loss", mode="max", patience=9), "min"),
        ):
            with pytest.warns(UserWarning, match=f"EarlyStopping watches .* give it mode='{better}'"):
                fit(ClassificationTask(4, **SMALL), None, callback)
        fit(ClassificationTask(4, **SMALL), None, EarlyStopping("val/accuracy", mode="max"), EarlyStopping("val/loss"))

    def test_without_a_validation_there_is_nothing_to_watch(self) -> None:
        with pytest.raises(ArgumentError, match="EarlyStopping watches 'val/loss', and nothing is validated"):
            fit(ClassificationTask(4, **SMALL), None, EarlyStopping("val/loss"), limit_val_batches=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 2, "class_weights": [1.0, -2.0]}, "class_weights is 1, -2; expected at least 0, and more for"),
        ({"num_classes": 2, "class_weights": [0.0, 0.0]}, "class_weights is 0, 0; expected at least 0, and more for"),
        ({"num_classes": 2, "label_smoothing": 10.0}, "label_smoothing is 10.0; expected 0 to 1"),
        ({"num_classes": 2, "dropout": 1.5}, "dropout is 1.5; expected 0 to 1"),
        ({"num_classes": 2, "focal_gamma": -1.0}, "focal_gamma is -1.0; expected at least 0"),
        ({"num_classes": 2, "auxiliary_weight": -0.3}, "auxiliary_weight is -0.3; expected at least 0"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        ClassificationTask(**arguments)
